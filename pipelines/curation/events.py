"""The sealed events that `curate` goes by, and rejections: events that change nothing, each with the reason.

Every step of `curate` returns its own rejections, and the stage joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipelines.curation import present_labels
from pipelines.feedback.events import Event
from pipelines.feedback.sealed import seal

OVER_RATER_QUOTA = "over the rater's quota"
NOT_CREDIBLE = "rater not credible"
NO_PICTURE = "no picture"
TWO_MODELS = "two models have this version's number"
UNKNOWN_ROW = "unknown row"
UNKNOWN_LABEL = "unknown label"
CONFLICTING_LABELS = "conflicting labels"

SomeEvent = TypeVar("SomeEvent", bound=Event)


class Rejection(NamedTuple):
    event: Event
    reason: str


def read(folder: Path, batches: Iterable[str], classes: Sequence[str]) -> list[Event]:
    """The sealed events of these batches, each once, by time, whatever file holds it; their labels are of these classes."""
    present = present_labels.places(classes)
    by_id: dict[str, Event] = {}
    for batch in batches:
        names = seal.class_names(folder, batch)
        by_id |= {event.id: present_labels.of_event(event, names, present) for event in seal.events(folder, batch)}
    return sorted(by_id.values(), key=lambda event: (event.at, event.id))


def select(events: Iterable[Event], kind: type[SomeEvent]) -> list[SomeEvent]:
    """The events of one type."""
    return [event for event in events if isinstance(event, kind)]


def raters(events: Iterable[Event]) -> list[str]:
    """Raters with an event other than the wish to be forgotten."""
    return sorted({event.rater for event in events if event.type != "erase"})


def screen(events: Iterable[SomeEvent], reason: Callable[[SomeEvent], str | None]) -> tuple[list[SomeEvent], list[Rejection]]:
    """The events that there is no reason to reject, and the rejections of the others."""
    reasons = [(event, reason(event)) for event in events]
    rejections = [Rejection(event, why) for event, why in reasons if why is not None]
    return [event for event, why in reasons if why is None], rejections


def reject(events: Iterable[Event], reason: str) -> list[Rejection]:
    """All of these events for one reason."""
    return [Rejection(event, reason) for event in events]
