"""Fold: seals the events since the last fold into files of data/feedback, and has DVC and git keep them.

Each step is done whole or not at all, and finds out itself what is left to do. So the next fold completes one that was killed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pipelines.core import shards, timestamps
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.feedback import forgetting
from pipelines.feedback.events import Event, Label, Upload
from pipelines.feedback.sealed import event_images, manifest, seal
from pipelines.feedback.sealed.manifest import Manifest
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry import samplers
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from workspace import conflicts, git, snapshot
from workspace.locks import fold_lock


@dataclass(frozen=True)
class FoldResult:
    """What a fold added to data/feedback, including what a killed fold had left to do.

    events: their number by type. raters: how many people sent them. batches: names. missing: number of missing images by
    reason. forgotten: number of raters that were erased. learned: versions that had learned from raters who asked to be
    forgotten. committed: whether there is a commit.
    """

    events: dict[str, int] = field(default_factory=dict)
    raters: int = 0
    batches: list[str] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    forgotten: int = 0
    learned: list[int] = field(default_factory=list)
    committed: bool = False


def fold(project: Project, params: Params, registry: Registry, log: Callable[[str], None]) -> FoldResult:
    """Fold the new events. Of two folds at once the second waits, and folds what is new by then.

    Raises:
        InputError: a merge has left conflict markers.
        GenloopError: sealed files are missing, or the database, the registry, DVC or git failed. What was done until then
            stays, and the next fold goes on from there.
    """
    folder = project.feedback
    with ExitStack() as stack:
        stack.enter_context(fold_lock(project))
        conflicts.check(project)
        manifest.require(folder, project.manifest)
        for leftover in folder.glob(".*.partial"):  # of a fold that was killed; DVC would keep it
            leftover.unlink(missing_ok=True)
        before = manifest.read(project.manifest)
        forgotten, learned = 0, list[int]()
        find_shown = None
        if database.reachable(project.database_url):
            store = stack.enter_context(EventStore.open(project.database_url))
            forgotten, learned = forget(project, registry, store)
            seal_events(project, store, log)
            find_shown = store.shown
        else:
            log(f"there is no database yet: {database.display_name(database.address(project.database_url))}")
        if folder.is_dir():
            event_images.complete(folder, project.uploads, samplers.loader(registry), find_shown)
            manifest.update(folder, project.manifest)
        batches = new_batches(before, manifest.read(project.manifest))
        committed = take_snapshot(project, log, before)
        summary = BatchSummary.read(folder, batches)
        missing = Counter(image.missing for image in event_images.read(folder, batches) if image.missing)
        return FoldResult(summary.types, summary.raters, batches, dict(missing), forgotten, learned, committed)


def seal_events(project: Project, store: EventStore, log: Callable[[str], None]) -> None:
    """Seal the new events, with the names of the classes that their labels are indices of."""
    classes = class_names(project)
    batches = seal.fold(store, project.feedback, classes=classes).batches
    if classes is None and any(gives_label(event) for batch in batches for event in seal.events(project.feedback, batch)):
        log(
            f"no classes in {project.relative(project.clean)} (no run has made it, or one is at `clean`): labels of these "
            "events are kept without names, so they may come to mean other classes where a run numbers those anew"
        )


def class_names(project: Project) -> list[str] | None:
    """Names of the classes of data/clean; None before the first run, and while `clean` runs."""
    try:
        return shards.classes(project.clean)
    except (InputError, OSError, ValueError):  # no shards, or gone or damaged since they were listed
        return None


def gives_label(event: Event) -> bool:
    return isinstance(event, Label | Upload) and event.label is not None


def forget(project: Project, registry: Registry, store: EventStore) -> tuple[int, list[int]]:
    """Forget the raters who have asked for it since the last fold, and complete what was forgotten elsewhere or only in part.

    Returns how many, and which versions had learned from those who asked: afterwards it cannot be found out any more.
    """
    done = forgetting.catch_up(project, store)
    raters = store.erase_requests()
    if not raters:
        return done, []
    batches = {batch for rater in raters for batch in seal.events_of(project.feedback, rater)}
    versions = registry.training_batches().items() if batches else ()
    learned = [number for number, version in versions if not batches.isdisjoint(version.batches)]
    forgetting.forget(project, store, raters)
    return done + len(raters), learned


def take_snapshot(project: Project, log: Callable[[str], None], before: Manifest | None = None) -> bool:
    """Snapshot data/feedback by DVC and git; returns whether there is a commit. before: as for `commit_message`."""
    listed = manifest.read(project.manifest)
    if not (listed.files or listed.forgotten) or snapshot.up_to_date(project):
        return False
    return snapshot.take(project, commit_message(project, before), log)


def new_batches(before: Manifest, after: Manifest) -> list[str]:
    return sorted(set(after.batches) - set(before.batches))


@dataclass(frozen=True)
class BatchSummary:
    """Counts of some batches. types: events by type, most first. first, last: of the timestamps."""

    types: dict[str, int]
    raters: int
    first: datetime | None
    last: datetime | None

    @classmethod
    def read(cls, folder: Path, batches: Iterable[str]) -> BatchSummary:
        events = [event for batch in batches for event in seal.events(folder, batch)]
        times = [event.at for event in events]
        types = dict(Counter(str(event.type) for event in events).most_common())
        raters = len({event.rater for event in events})
        return cls(types, raters, min(times, default=None), max(times, default=None))


def commit_message(project: Project, before: Manifest | None = None) -> str:
    """The message of a commit: what the manifest lists and that of the last commit, or else `before`, does not.

    No rater is named, because git forgets nothing.
    """
    committed, now = committed_manifest(project) or before or Manifest(), manifest.read(project.manifest)
    batches = new_batches(committed, now)
    summary = BatchSummary.read(project.feedback, batches)
    forgotten = len(set(now.forgotten) - set(committed.forgotten))
    parts = [f"fold {describe_counts(summary.types)}"] if summary.types else []
    parts += [f"forget {plural(forgotten, 'rater')}"] if forgotten else []
    subject = " and ".join(parts) or "update data/feedback"
    lines = [subject[:1].upper() + subject[1:], ""]
    if summary.first and summary.last:
        span = f"from {timestamps.minutes(summary.first)} to {timestamps.minutes(summary.last)}"
        lines += [f"By {plural(summary.raters, 'rater')}, {span}.", ""]
        lines += [f"batch {batch}: {plural(now.files[f'events-{batch}.parquet'].rows, 'event')}" for batch in batches]
    return "\n".join(lines).rstrip() + "\n"


def committed_manifest(project: Project) -> Manifest | None:
    """The manifest of the last commit, if that has one."""
    try:
        return manifest.parse(git.show(project, project.manifest) or "")
    except ValueError:
        return None


def describe_counts(types: dict[str, int]) -> str:
    """{"vote": 1990, "upload": 13} -> 2,003 events: 1,990 votes, 13 uploads"""
    return f"{plural(sum(types.values()), 'event')}: {', '.join(plural(count, name) for name, count in types.items())}"


def plural(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' * (count != 1)}"
