"""One fold: what people have said since the last one becomes part of data/feedback, whole, once, and kept.

Each step is done whole or not at all, and finds by itself what there is to do. So a fold that was killed after any of them is
taken up by the next one, which ends as if nothing had happened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime

from pipelines.core import paths
from pipelines.feedback import forgetting, samplers
from pipelines.feedback.sealed import event_images, manifest, seal
from pipelines.feedback.sealed.manifest import Manifest
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import Store
from pipelines.registry import client
from pipelines.settings.schema import Params
from workspace import snapshot
from workspace.locks import folding


@dataclass(frozen=True)
class Folded:
    """What a fold added to data/feedback, what one that was killed had left over included.

    events: their number by type. raters: how many people said them. batches: names. forgotten: raters of whom nothing is left.
    learned: versions that had learned from those who asked to be forgotten. missing: number of pictures that could not be had,
    by reason. committed: whether git has it.
    """

    events: dict[str, int] = field(default_factory=dict)
    raters: int = 0
    batches: list[str] = field(default_factory=list)
    missing: dict[str, int] = field(default_factory=dict)
    forgotten: int = 0
    learned: list[int] = field(default_factory=list)
    committed: bool = False


def fold(params: Params, log: Callable[[str], None] = snapshot.say) -> Folded:
    """Fold what is new. Two at once: the second waits, and folds what is new by then.

    Raises:
        GenloopError: sealed files are missing, or the database, the registry, DVC or git failed. What was done until then
            stays, and the next fold goes on from there.
    """
    with ExitStack() as stack:
        stack.enter_context(folding())
        manifest.demand(paths.FEEDBACK, manifest.missing())
        sweep()
        before = manifest.read()
        forgotten, learned = 0, list[int]()
        if database.reachable():
            store = stack.enter_context(Store.open())
            forgotten, learned = forget(params, store)
            seal.fold(store, paths.FEEDBACK)
        else:
            log(f"there is no database yet: {database.place(database.address())}")
        if paths.FEEDBACK.is_dir():
            event_images.complete(paths.FEEDBACK, samplers.of(params))
            manifest.update()
        batches = added(before, manifest.read())
        committed = not snapshot.kept() and snapshot.keep(message(before), log)
        said = Said.of(batches)
        return Folded(said.types, said.raters, batches, lacking(batches), forgotten, learned, committed)


def sweep() -> None:
    """Away with half files of a fold that was killed: DVC would keep them."""
    for leftover in paths.FEEDBACK.glob(".*.partial"):
        leftover.unlink(missing_ok=True)


def forget(params: Params, store: Store) -> tuple[int, list[int]]:
    """Of whom nothing may be left: who has asked since, and who was forgotten elsewhere, or only half.

    Returns:
        How many, and which versions had learned from those who have asked: after it, nobody could find that out any more.
    """
    done = forgetting.catch_up(store, paths.FEEDBACK, paths.MANIFEST)
    asked = store.erasures()
    if not asked:
        return done, []
    folds = {batch for rater in asked for batch in seal.said_by(paths.FEEDBACK, rater)}
    learned = [number for number, of in client.learned(params).items() if not folds.isdisjoint(of.batches)] if folds else []
    forgetting.forget(store, paths.FEEDBACK, paths.MANIFEST, asked)
    return done + len(asked), learned


def added(before: Manifest, after: Manifest) -> list[str]:
    return sorted(set(after.batches) - set(before.batches))


def lacking(batches: Iterable[str]) -> dict[str, int]:
    """Pictures of these batches that could not be had, by reason."""
    return dict(Counter(picture.missing for picture in event_images.read(paths.FEEDBACK, batches) if picture.missing))


@dataclass(frozen=True)
class Said:
    """What some batches hold. types: number of events by type, most first. first, last: when it was said."""

    types: dict[str, int]
    raters: int
    first: datetime | None
    last: datetime | None

    @classmethod
    def of(cls, batches: Iterable[str]) -> Said:
        events = [event for batch in batches for event in seal.events(paths.FEEDBACK, batch)]
        times = [event.at for event in events]
        types = dict(Counter(str(event.type) for event in events).most_common())
        raters = len({event.rater for event in events})
        return cls(types, raters, min(times, default=None), max(times, default=None))


def message(otherwise: Manifest | None = None) -> str:
    """Of a commit: what the manifest lists and that of the last commit, or `otherwise` where it has none, does not.

    No rater is named, for git forgets nothing.
    """
    committed, now = snapshot.committed() or otherwise or Manifest(), manifest.read()
    batches = added(committed, now)
    said = Said.of(batches)
    gone = len(set(now.forgotten) - set(committed.forgotten))
    parts = [f"fold {counted(said.types)}"] if said.types else []
    parts += [f"forget {plural(gone, 'rater')}"] if gone else []
    subject = " and ".join(parts) or "keep what was folded"
    lines = [subject[:1].upper() + subject[1:], ""]
    if said.first and said.last:
        lines += [f"By {plural(said.raters, 'rater')}, from {moment(said.first)} to {moment(said.last)}.", ""]
        lines += [f"batch {batch}: {plural(now.files[f'events-{batch}.parquet'].rows, 'event')}" for batch in batches]
    return "\n".join(lines).rstrip() + "\n"


def counted(types: dict[str, int]) -> str:
    """{"vote": 1990, "upload": 13} -> 2,003 events: 1,990 votes, 13 uploads"""
    return f"{plural(sum(types.values()), 'event')}: {', '.join(plural(count, name) for name, count in types.items())}"


def plural(count: int, name: str) -> str:
    return f"{count:,} {name}{'s' * (count != 1)}"


def moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
