"""The loop as people see it: where it stands, its versions, what one visitor's votes have done, and the first run."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pipelines.core import timestamps
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback import rater_lineage
from pipelines.feedback.events import Sample, Vote
from pipelines.feedback.store.event_store import EventCounts, EventStore
from pipelines.promotion import decisions
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION
from pipelines.scoring import readings
from pipelines.scoring.readings import Reading

FRESH = 3.0  # seconds that a look at the loop is shown to everybody
REPORTS = {"curate": "feedback", "evaluate": "metrics"}  # stages whose reports have other names
STAGES = ("ingest", "validate", "clean", "reference", "curate", "approval", "train", "evaluate", "register")
T = TypeVar("T")


@dataclass(frozen=True)
class Loop:
    """events: all that people have sent; waiting: those that no fold has sealed. verdict: the gate's on the challenger."""

    events: int
    waiting: int
    newest: int | None
    champion: int | None
    challenger: int | None
    verdict: str | None
    why: str | None


@dataclass(frozen=True)
class VersionLine:
    """judgements: events of the folds that the version has learned from. own: those of them that are the visitor's."""

    number: int
    created: datetime
    aliases: list[str]
    scores: dict[str, Reading]
    judgements: int
    own: int

    @property
    def made(self) -> str:
        return timestamps.minutes(self.created)


@dataclass(frozen=True)
class FirstRun:
    """stages: name and whether it is done. step: of the training, at the latest preview. begun: whether anybody has."""

    stages: list[tuple[str, bool]]
    step: int | None
    begun: bool

    @property
    def current(self) -> str | None:
        return next((name for name, done in self.stages if not done), None) if self.begun else None


class Overview:
    """What is slow to find is kept for a moment, for everybody."""

    def __init__(self, project: Project, registry: Registry) -> None:
        self.project, self.registry = project, registry
        self.kept: dict[str, tuple[float, object]] = {}

    def recent(self, name: str, find: Callable[[], T]) -> T:
        at, found = self.kept.get(name, (0.0, None))
        if time.monotonic() - at > FRESH:
            try:
                found = find()
            except GenloopError:  # of a registry that does not answer now: what was there a moment ago is shown
                if found is None:
                    raise
            self.kept[name] = (time.monotonic(), found)
        return found  # type: ignore[return-value]

    def loop(self, counts: EventCounts) -> Loop:
        try:
            return self.recent("loop", functools.partial(self.find_loop, counts))
        except GenloopError:
            return Loop(counts.new + counts.folded, counts.new, None, None, None, None, None)

    def find_loop(self, counts: EventCounts) -> Loop:
        aliases = self.registry.aliases()
        numbers = self.registry.numbers() if self.registry.reachable() else []
        challenger = aliases.get(CHALLENGER)
        decision = decisions.latest(self.registry.version(challenger)) if challenger else None
        return Loop(
            counts.new + counts.folded,
            counts.new,
            max(numbers, default=None),
            aliases.get(CHAMPION),
            challenger,
            decision.verdict if decision else None,
            decision.reason() if decision else None,
        )

    def versions(self, store: EventStore, visitor: str) -> list[VersionLine]:
        """All versions, oldest first."""
        learned = self.recent("versions", self.registry.training_batches)
        sizes = store.batches()
        own = {batch: len(events) for batch, events in rater_lineage.find(self.project, visitor, store).sealed.items()}
        return [
            VersionLine(
                number,
                version.created,
                learned[number].aliases,
                readings.read(version.metrics),
                sum(sizes.get(batch, 0) for batch in learned[number].batches),
                sum(own.get(batch, 0) for batch in learned[number].batches),
            )
            for number in sorted(learned)
            for version in [self.registry.version(number)]
        ]

    def votes(self, store: EventStore, visitor: str, most: int) -> list[Vote]:
        """The visitor's last vote on each sample, the newest first."""
        last: dict[Sample, Vote] = {}
        for event in store.events_of(visitor):
            if isinstance(event, Vote):
                last.pop(event.sample, None)
                last[event.sample] = event
        return list(reversed(last.values()))[:most]

    def others(self, store: EventStore, visitor: str) -> Counter[str]:
        """How many of each type of event the visitor has sent, votes apart."""
        return Counter(event.type for event in store.events_of(visitor) if not isinstance(event, Vote))

    def first_run(self) -> FirstRun:
        """How far the first run has come, by the files that its stages leave."""
        done = [(name, (self.project.reports / f"{REPORTS.get(name, name)}.json").is_file()) for name in STAGES]
        preview = self.preview()
        step = int(preview.stem.removeprefix("samples-")) if preview else None
        return FirstRun(done, step, (self.project.logs / "run.lock").exists() or done[0][1])

    def preview(self) -> Path | None:
        """The newest grid of a training that is going on."""
        found = list(self.project.logs.glob("**/samples-*.png"))
        return max(found, key=lambda path: path.stat().st_mtime, default=None)
