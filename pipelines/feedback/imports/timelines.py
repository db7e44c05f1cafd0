"""Answers of exports that have no times: which of them are new, and their place among what the same rater answered before.

Such an answer counts as given when its file was written. If the rater's answer about the same thing was the same at that time,
it is known. Else it is a new event, even if the rater had given this answer once, before the one that it replaces.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pipelines.feedback.events import Choice, Event, Label, RecordError, Vote
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventStore

TICK = timedelta(microseconds=1)  # the smallest difference of timestamps that the store keeps

Subject = tuple[Any, ...]  # what an answer is about, and whose it is


class TimedAnswer(NamedTuple):
    """In the order in which answers count: the last one is the rater's."""

    at: datetime
    id: str
    value: Any


class AnswerTimelines:
    """What raters have answered about each thing, by the store, by the sealed files and by this import.

    outdated: how many of the answers placed here differ from a later one, which counts.
    """

    def __init__(self, store: EventStore, sealed: Path | None, content_id: Callable[[Event], str]) -> None:
        self.store, self.sealed, self.content_id = store, sealed, content_id
        self.raters: set[str] = set()
        self.timelines: dict[Subject, list[TimedAnswer]] = {}
        self.placed: dict[Subject, tuple[int, Any]] = {}  # line and answer of this import
        self.outdated = 0

    def read(self, raters: Iterable[str]) -> None:
        """Read what these raters have answered, if that was not done yet."""
        if not (new := sorted(set(raters) - self.raters)):
            return
        self.raters.update(new)
        found = [event for rater in new for event in self.store.events_of(rater)]
        files = seal.sealed_files(self.sealed) if self.sealed else ()
        found += [event for path in files for event in seal.select(path, "rater", new)]
        for event in {event.id: event for event in found}.values():
            if (about := subject(event)) is not None:
                insort(self.timelines.setdefault(about, []), TimedAnswer(event.at, event.id, value(event)))

    def place(self, event: Event, line: int) -> Event:
        """The event to store for an answer whose `at` is that of its file: the known one with the same content, or a new one.

        Raises RecordError where this import has had another answer of the same rater: there is no telling which came last.
        """
        about, given = subject(event), value(event)
        if about is None:
            return event
        first, before = self.placed.setdefault(about, (line, given))
        if before != given:
            words = f"record {first} has another answer of this rater about the same thing, and the export has no times"
            raise RecordError("ambiguous answer", words)
        timeline = self.timelines.setdefault(about, [])
        at = event.at
        for answer in timeline:
            if answer.at == at:  # of two files with one time, the one that is imported later counts as later
                at += TICK
        place = sum(answer.at < at for answer in timeline)
        same = [answer for answer in timeline[max(place - 1, 0) : place + 1] if answer.value == given]
        if same:
            event = event.model_copy(update={"at": same[0].at, "id": same[0].id})
        else:
            event = event.model_copy(update={"at": at})
            event = event.model_copy(update={"id": self.content_id(event)})
            timeline.insert(place, TimedAnswer(event.at, event.id, given))
        self.outdated += timeline[-1].value != given
        return event


def subject(event: Event) -> Subject | None:
    """The rater, and what the answer is about; None of events that no later one replaces."""
    if isinstance(event, Vote):
        return event.rater, "vote", event.sample.key
    if isinstance(event, Choice):
        return event.rater, "choice", *sorted((event.winner.key, event.loser.key))
    if isinstance(event, Label):
        return event.rater, "label", event.row
    return None


def value(event: Event) -> Any:
    """What was answered."""
    if isinstance(event, Vote):
        return event.value
    if isinstance(event, Choice):
        return event.winner.key
    return event.label if isinstance(event, Label) else None
