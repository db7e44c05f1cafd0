"""Forgetting a rater: out of the database, the images and the sealed files; and nothing of theirs gets in again.

A kill may come between any two steps. Whoever comes next, `forget` or the `catch_up` of a fold, finds that there is more to do:

    1. the database, in one transaction: the events go, a tombstone comes that names the images to remove; then its files
    2. images that nobody else has sent
    3. sealed files that hold events of the rater: the pictures of a batch before its events, which tell that it is one of these
    4. the manifest
    5. the tombstone says that nothing is left to do

The manifest goes where git goes, the database stays where it is. So a tombstone may be in one of the two alone: the database
was restored from an older copy, or is another one. Then the rater is forgotten here, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from pipelines.feedback.events import Upload
from pipelines.feedback.sealed import event_images, manifest, seal, uploads
from pipelines.feedback.store.event_store import Store
from pipelines.feedback.store.tables import digest

__all__ = ["Forgotten", "catch_up", "digest", "forget"]


@dataclass(frozen=True)
class Forgotten:
    """events: how many were removed. images: sha256 of the uploads that were. batches: whose sealed files are now others."""

    events: int
    images: list[str]
    batches: list[str]


def forget(store: Store, folder: Path, manifest_path: Path, raters: Iterable[str]) -> Forgotten:
    """Remove all that these raters have said, and let nothing of theirs in again, also where they have said nothing yet.

    Raises:
        GenloopError: sealed files are missing or damaged, or a reader keeps bytes of the database alive.
    """
    asked = sorted(set(raters))
    if not asked:
        return Forgotten(0, [], [])
    with seal.alone(folder):
        manifest.demand(folder, manifest.missing(folder, manifest_path))
        erased = store.erase(*asked)
        return settle(store, folder, manifest_path, {digest(rater) for rater in asked}, erased.events)


def catch_up(store: Store, folder: Path, manifest_path: Path) -> int:
    """Bring to its end what was interrupted, and forget here who was forgotten elsewhere; how many raters that concerned.

    Raises:
        GenloopError: as `forget`.
    """
    listed, there = set(manifest.read(manifest_path).forgotten), store.forgotten()
    concerned = {one for one, images in there.items() if images is not None} | (listed ^ set(there))
    if concerned:
        with seal.alone(folder):
            manifest.demand(folder, manifest.missing(folder, manifest_path))
            store.entomb(listed - set(there))
            erased = store.erase(*(rater for rater in store.raters() if digest(rater) in concerned))
            settle(store, folder, manifest_path, concerned, erased.events)
    return len(concerned)


def settle(store: Store, folder: Path, manifest_path: Path, digests: Collection[str], erased: Iterable[str]) -> Forgotten:
    """What is to be done outside of the database, from which the events `erased` are gone."""
    for leftover in folder.glob(".*.partial"):  # of a fold that was killed; it may hold anything
        leftover.unlink(missing_ok=True)
    held = holding(folder, digests)
    gone = [event for batch, raters in held.items() for event in seal.matching(seal.path(folder, batch), "rater", raters)]
    sent = {event.image for event in gone if isinstance(event, Upload)}
    images = alone(store, folder, digests, sent.union(*(store.forgotten()[one] or () for one in digests)))
    for image in images:
        uploads.remove(image)
    rewritten = {name for batch, raters in held.items() for name in rewrite(folder, batch, raters)}
    manifest.update(folder, manifest_path, store.forgotten(), rewritten | shrunk(folder, manifest_path))
    store.finish(digests)
    return Forgotten(len({*erased, *(event.id for event in gone)}), images, list(held))


def holding(folder: Path, digests: Collection[str]) -> dict[str, list[str]]:
    """Batch -> those of its raters that have one of these digests, where there are some."""
    batches = [seal.about(path)[0] for path in seal.sealed(folder)]
    held = {batch: [rater for rater in seal.raters(folder, batch) if digest(rater) in digests] for batch in batches}
    return {batch: raters for batch, raters in held.items() if raters}


def alone(store: Store, folder: Path, digests: Collection[str], images: set[str]) -> list[str]:
    """Those of these images that no other rater has sent."""
    if images:
        sent = (event for path in seal.sealed(folder) for event in seal.matching(path, "type", ["upload"]))
        others = {event.image for event in sent if isinstance(event, Upload) and digest(event.rater) not in digests}
        images = images - others - store.images()
    return sorted(images)


def rewrite(folder: Path, batch: str, raters: Collection[str]) -> list[str]:
    """The sealed files of `batch` without these raters, and without pictures that nobody else speaks of; names of those files.

    A batch of which nothing is left keeps an empty file: what its versions had learned from was called so.
    """
    kept = [event for event in seal.events(folder, batch) if event.rater not in raters]
    written = []
    if event_images.path(folder, batch).is_file() and event_images.keep(folder, batch, kept):
        written.append(event_images.path(folder, batch).name)
    seal.write(folder, batch, kept)
    return [*written, seal.path(folder, batch).name]


def shrunk(folder: Path, manifest_path: Path) -> set[str]:
    """Listed files that have fewer rows than the list says: they were rewritten, and then came a kill."""
    listed, there = manifest.read(manifest_path).files, manifest.present(folder)
    return {file.name for file in there if file.name in listed and manifest.rows(file) < listed[file.name].rows}
