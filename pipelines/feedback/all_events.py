"""All events of a type: sealed ones, and those that still wait in the database for a fold."""

from __future__ import annotations

from pipelines.core.project import Project
from pipelines.feedback.events import Event, Report, Sample
from pipelines.feedback.sealed import event_images, seal
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import EventStore


def read(project: Project, kind: str, newest: int | None = None) -> list[Event]:
    """The events of the type `kind`, or the newest of them, oldest first.

    Raises GenloopError where the database does not answer.
    """
    found: dict[str, Event] = {}
    files = seal.sealed_files(project.feedback)
    if database.reachable(project.database_url):
        # Before the files are read: what a fold seals meanwhile is in both then, and in none the other way round.
        with EventStore.open(project.database_url) as store:
            found = {event.id: event for event in store.events_outside(kind, [seal.footer(path)[0] for path in files], newest)}
    for path in files:
        found |= {event.id: event for event in seal.select(path, "type", [kind])}
    return sorted(found.values(), key=lambda event: (event.at, event.id))[-newest if newest else 0 :]


def guided_samples(project: Project) -> set[Sample]:
    """Samples that were chosen to be shown by what people like, as far as the database or sealed files know."""
    found: set[Sample] = set()
    if database.reachable(project.database_url):
        with EventStore.open(project.database_url) as store:
            found |= store.guided()
    for path in seal.sealed_files(project.feedback):
        found |= event_images.guided(project.feedback, seal.footer(path)[0])
    return found


def flagged_samples(project: Project) -> set[Sample]:
    """Samples that somebody has flagged, also those whose reports `curate` has not read yet."""
    return {event.sample for event in read(project, "report") if isinstance(event, Report) and event.sample}
