"""What people said, each thing once, in the order in which they said it, whatever file holds it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from pipelines.feedback.events import Choice, Event, Label, Report, Upload, Vote
from pipelines.feedback.sealed import seal


@dataclass(frozen=True)
class Said:
    """All events, and those of each type."""

    events: list[Event]
    votes: list[Vote]
    choices: list[Choice]
    uploads: list[Upload]
    labels: list[Label]
    reports: list[Report]

    @property
    def raters(self) -> list[str]:
        """Who said anything but to be forgotten."""
        return sorted({event.rater for event in self.events if event.type != "erase"})


def read(folder: Path, batches: Iterable[str]) -> Said:
    """The sealed events of these batches."""
    found = {event.id: event for event in chain.from_iterable(seal.events(folder, batch) for batch in batches)}
    events = sorted(found.values(), key=lambda event: (event.at, event.id))

    return Said(
        events,
        [event for event in events if isinstance(event, Vote)],
        [event for event in events if isinstance(event, Choice)],
        [event for event in events if isinstance(event, Upload)],
        [event for event in events if isinstance(event, Label)],
        [event for event in events if isinstance(event, Report)],
    )
