"""What people say, sealed as a fold does it, with pictures that no model has drawn."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import numpy as np

from pipelines.core import images, paths
from pipelines.feedback.events import Choice, Event, Label, Report, Sample, Upload, Vote
from pipelines.feedback.sealed import event_images, manifest, seal
from pipelines.feedback.sealed.event_images import Picture

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Feedback:
    """Everybody takes a minute for each thing they say, so that nobody is a burst."""

    events: list[Event] = field(default_factory=list)
    drawn: dict[Sample, Picture] = field(default_factory=dict)
    sent: dict[str, Picture] = field(default_factory=dict)
    numbers: Any = field(default_factory=count)

    def common(self, rater: str, at: datetime | None = None) -> dict[str, Any]:
        number = next(self.numbers)
        return {"id": f"e{number}", "rater": rater, "at": at or BEGIN + timedelta(minutes=number)}

    def add(self, event: Any) -> str:
        self.events.append(event)
        return str(event.id)

    def sample(self, pixels: np.ndarray | None, label: int | None = 0, generation: int = 1, version: int = 1) -> Sample:
        sample = Sample(version=version, seed=len(self.drawn), label=label)
        image = None if pixels is None else images.encode_png(pixels)
        self.drawn[sample] = Picture(version, sample.seed, label, None, generation, image, None if image else "gone")
        return sample

    def vote(self, rater: str, sample: Sample, value: int = 1, at: datetime | None = None) -> str:
        return self.add(Vote(type="vote", sample=sample, value=value, **self.common(rater, at)))

    def like(self, sample: Sample, *raters: str) -> list[str]:
        return [self.vote(rater, sample) for rater in raters]

    def choose(self, rater: str, winner: Sample, loser: Sample) -> str:
        return self.add(Choice(type="choice", winner=winner, loser=loser, **self.common(rater)))

    def upload(self, rater: str, content: np.ndarray | bytes, label: int | None = 0) -> str:
        data = content if isinstance(content, bytes) else images.encode_png(content)
        digest = hashlib.sha256(data).hexdigest()
        self.sent[digest] = Picture(None, None, None, digest, 0, data, None)
        return self.add(Upload(type="upload", image=digest, label=label, **self.common(rater)))

    def lose(self, upload: str) -> None:
        self.sent[upload] = replace(self.sent[upload], image=None, missing="not there")

    def correct(self, rater: str, row: str, label: int) -> str:
        return self.add(Label(type="label", row=row, label=label, **self.common(rater)))

    def report(self, rater: str, sample: Sample | None = None, row: str | None = None) -> str:
        return self.add(Report(type="report", sample=sample, row=row, **self.common(rater)))

    def seal(self, batches: Sequence[str] = ("a",)) -> None:
        """Dealt into these batches, in an order that the names decide."""
        paths.FEEDBACK.mkdir(parents=True, exist_ok=True)
        for place, batch in enumerate(batches):
            events = self.events[place :: len(batches)]
            seal.write(paths.FEEDBACK, batch, events)
            samples, sent = event_images.named(events)
            event_images.write(paths.FEEDBACK, batch, [*(self.drawn[s] for s in samples), *(self.sent[u] for u in sent)])
        manifest.update(paths.FEEDBACK, paths.MANIFEST)
