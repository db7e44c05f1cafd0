"""Every event of a type, wherever it is by now: sealed, or still waiting in the database."""

from __future__ import annotations

from pipelines.core import paths
from pipelines.feedback.events import Event, Report, Sample
from pipelines.feedback.sealed import seal
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import Store


def every(kind: str) -> list[Event]:
    """Oldest first.

    Raises:
        GenloopError: the database does not answer.
    """
    found: dict[str, Event] = {}
    files = seal.sealed(paths.FEEDBACK)
    if database.reachable():
        # Before the files are read: what a fold seals meanwhile is in both then, and in none the other way round.
        with Store.open() as store:
            found = {event.id: event for event in store.beyond(kind, [seal.about(path)[0] for path in files])}
    for path in files:
        found |= {event.id: event for event in seal.matching(path, "type", [kind])}
    return sorted(found.values(), key=lambda event: (event.at, event.id))


def reported() -> set[Sample]:
    """Drawn samples that somebody has reported, also those that `curate` has not read yet."""
    return {event.sample for event in every("report") if isinstance(event, Report) and event.sample}
