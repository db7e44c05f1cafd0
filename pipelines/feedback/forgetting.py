"""Forgets raters: erases them from the database, the images and the sealed files, and lets nothing of theirs in again.

A kill may come between any two steps. The next `forget`, or the `catch_up` of the next fold, finds that there is more to do:

    1. the database, in one transaction: the events go, a tombstone comes that names the images to remove; then its files
    2. images that nobody else has sent
    3. sealed files that hold events of the rater: the images of a batch before its events, which tell that it is one of these
    4. the manifest
    5. the tombstone says that nothing is left to do

The manifest goes where git goes, the database stays where it is. So a tombstone may be in one of the two alone: the database
was restored from an older copy, or is another one. Then the rater is forgotten here, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines.core.project import Project
from pipelines.feedback.events import Upload
from pipelines.feedback.sealed import event_images, manifest, seal, uploads
from pipelines.feedback.store.event_store import EventStore
from pipelines.feedback.store.tables import digest


@dataclass(frozen=True)
class RaterRemoval:
    """What was removed. events: their number. images: sha256 of uploads. batches: whose sealed files were rewritten."""

    events: int
    images: list[str]
    batches: list[str]


def forget(project: Project, store: EventStore, raters: Iterable[str]) -> RaterRemoval:
    """Remove all events of these raters, and let none of theirs in again, also where there were none.

    Raises GenloopError where sealed files are missing or damaged, or a reader keeps bytes of the database alive.
    """
    names = sorted(set(raters))
    if not names:
        return RaterRemoval(0, [], [])
    with seal.write_lock(project.feedback):
        manifest.require(project.feedback, project.manifest)
        return finish(project, store, {digest(rater) for rater in names}, store.erase(*names))


def catch_up(project: Project, store: EventStore) -> int:
    """Finish what was interrupted, and forget here raters who were forgotten elsewhere; the number of these raters."""
    listed, tombstones = set(manifest.read(project.manifest).forgotten), store.tombstones()
    unfinished = {one for one, images in tombstones.items() if images is not None} | (listed ^ set(tombstones))
    if unfinished:
        with seal.write_lock(project.feedback):
            manifest.require(project.feedback, project.manifest)
            store.add_tombstones(listed - set(tombstones))
            erased = store.erase(*(rater for rater in store.raters() if digest(rater) in unfinished))
            finish(project, store, unfinished, erased)
    return len(unfinished)


def finish(project: Project, store: EventStore, digests: Collection[str], erased: Iterable[str]) -> RaterRemoval:
    """Do what is left to do outside of the database, from which the events `erased` are gone."""
    folder = project.feedback
    for leftover in folder.glob(".*.partial"):  # of a fold that was killed; it may hold anything
        leftover.unlink(missing_ok=True)
    batches = batches_of(folder, digests)
    events = [
        event for batch, raters in batches.items() for event in seal.select(seal.events_file(folder, batch), "rater", raters)
    ]
    sent = {event.image for event in events if isinstance(event, Upload)}
    images = own_images(store, folder, digests, sent.union(*(store.tombstones()[one] or () for one in digests)))
    for image in images:
        uploads.remove(project.uploads, image)
    rewritten = {name for batch, raters in batches.items() for name in rewrite(folder, batch, raters)}
    manifest.update(folder, project.manifest, store.tombstones(), rewritten | rewritten_files(folder, project.manifest))
    store.finish(digests)
    return RaterRemoval(len({*erased, *(event.id for event in events)}), images, list(batches))


def batches_of(folder: Path, digests: Collection[str]) -> dict[str, list[str]]:
    """Batch -> those of its raters that have one of these digests, where there are some."""
    batches = [seal.footer(path)[0] for path in seal.sealed_files(folder)]
    raters = {batch: [rater for rater in seal.raters(folder, batch) if digest(rater) in digests] for batch in batches}
    return {batch: names for batch, names in raters.items() if names}


def own_images(store: EventStore, folder: Path, digests: Collection[str], images: set[str]) -> list[str]:
    """Those of these images that no other rater has sent."""
    if images:
        sent = (event for path in seal.sealed_files(folder) for event in seal.select(path, "type", ["upload"]))
        foreign = {event.image for event in sent if isinstance(event, Upload) and digest(event.rater) not in digests}
        images = images - foreign - store.images()
    return sorted(images)


def rewrite(folder: Path, batch: str, raters: Collection[str]) -> list[str]:
    """Write the sealed files of `batch` without these raters, and without images that no other event is about; their names.

    A batch of which nothing is left keeps an empty file, because versions name it among what they have learned from.
    """
    events = [event for event in seal.events(folder, batch) if event.rater not in raters]
    written = []
    if event_images.images_file(folder, batch).is_file() and event_images.prune(folder, batch, events):
        written.append(event_images.images_file(folder, batch).name)
    seal.write(folder, batch, events, seal.class_names(folder, batch))
    return [*written, seal.events_file(folder, batch).name]


def rewritten_files(folder: Path, manifest_file: Path) -> set[str]:
    """Listed files that have fewer rows than the list says: they were rewritten, and then came a kill."""
    listed, found = manifest.read(manifest_file).files, manifest.files_in(folder)
    return {file.name for file in found if file.name in listed and manifest.row_count(file) < listed[file.name].rows}
