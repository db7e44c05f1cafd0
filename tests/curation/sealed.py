"""Events of people, sealed as a fold does it, with images that no model has generated."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np

from pipelines.core import png
from pipelines.core.project import Project
from pipelines.feedback.events import Choice, Event, Label, Report, Sample, Upload, Vote
from pipelines.feedback.sealed import event_images, manifest, seal
from pipelines.feedback.sealed.event_images import EventImage

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Feedback:
    """Every event takes a minute, so that nobody is a burst.

    classes: of which labels are indices, also those of every version; None where no names are sealed.
    """

    events: list[Event] = field(default_factory=list)
    generated: dict[Sample, EventImage] = field(default_factory=dict)
    uploaded: dict[str, EventImage] = field(default_factory=dict)
    numbers: Any = field(default_factory=count)
    classes: list[str] | None = None

    def common(self, rater: str, at: datetime | None = None) -> dict[str, Any]:
        number = next(self.numbers)
        return {"id": f"e{number}", "rater": rater, "at": at or BEGIN + timedelta(minutes=number)}

    def add(self, event: Any) -> str:
        self.events.append(event)
        return str(event.id)

    def sample(
        self,
        pixels: np.ndarray | None,
        label: int | None = 0,
        generation: int = 1,
        version: int = 1,
        prompt: str | None = None,
    ) -> Sample:
        """A sample with a prompt has no label, whatever it is."""
        label = None if prompt else label
        sample = Sample(version=version, seed=len(self.generated), label=label, prompt=prompt)
        image = None if pixels is None else png.encode(pixels)
        name = self.classes[label] if self.classes and label is not None and label < len(self.classes) else None
        missing = None if image else "gone"
        self.generated[sample] = EventImage(version, sample.seed, label, None, generation, image, missing, name, prompt=prompt)
        return sample

    def vote(self, rater: str, sample: Sample, value: int = 1, at: datetime | None = None) -> str:
        return self.add(Vote(type="vote", sample=sample, value=value, **self.common(rater, at)))

    def like(self, sample: Sample, *raters: str) -> list[str]:
        return [self.vote(rater, sample) for rater in raters]

    def choose(self, rater: str, winner: Sample, loser: Sample) -> str:
        return self.add(Choice(type="choice", winner=winner, loser=loser, **self.common(rater)))

    def upload(self, rater: str, content: np.ndarray | bytes, label: int | None = 0) -> str:
        data = content if isinstance(content, bytes) else png.encode(content)
        digest = hashlib.sha256(data).hexdigest()
        self.uploaded[digest] = EventImage(None, None, None, digest, 0, data, None)
        return self.add(Upload(type="upload", image=digest, label=label, **self.common(rater)))

    def lose(self, upload: str) -> None:
        self.uploaded[upload] = replace(self.uploaded[upload], image=None, missing="not there")

    def correct(self, rater: str, row: str, label: int) -> str:
        return self.add(Label(type="label", row=row, label=label, **self.common(rater)))

    def report(self, rater: str, sample: Sample | None = None, row: str | None = None) -> str:
        return self.add(Report(type="report", sample=sample, row=row, **self.common(rater)))

    def seal(self, project: Project, batches: Sequence[str] = ("a",)) -> None:
        """Dealt into these batches, in an order that the names decide."""
        folder = project.feedback
        folder.mkdir(parents=True, exist_ok=True)
        for place, batch in enumerate(batches):
            events = self.events[place :: len(batches)]
            seal.write(folder, batch, events, self.classes)
            samples, uploads = event_images.subjects(events)
            event_images.write(folder, batch, [*(self.generated[s] for s in samples), *(self.uploaded[u] for u in uploads)])
        manifest.update(folder, project.manifest)
