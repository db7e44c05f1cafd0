"""Loop health: how the loop fares, as `genloop status` and the studio's /metrics show it, and what needs a person.

Everything is asked for once, quickly, and by itself: what does not answer is not known, and the rest is there all the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from operations import storage
from operations.storage import DiskSpace, StoreSizes
from pipelines.core import reports, timestamps
from pipelines.core.errors import GenloopError
from pipelines.core.numbers import describe_bytes
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import EventCounts, EventStore
from pipelines.metrics import intervals
from pipelines.promotion import decisions
from pipelines.promotion.decisions import Decision
from pipelines.promotion.rules import Verdict
from pipelines.registry.client import Registry
from pipelines.registry.versions import VersionOutline
from pipelines.scoring import drift
from pipelines.scoring.drift import DriftReport
from workspace import git

WINDOWS = (1, 7, 30)  # days
PATIENCE = timedelta(days=7)  # that events may wait for a fold
REJECTIONS = 3  # in a row, after which a person should look
VERDICTS: tuple[Verdict, ...] = ("promote", "reject", "undecided")
T = TypeVar("T")


@dataclass(frozen=True)
class VoteShare:
    """The share of votes that like, of the last `days`, and its interval (Wilson's). Each vote counts, whoever cast it."""

    days: int
    votes: int
    likes: int
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.likes / self.votes


@dataclass(frozen=True)
class TasteReport:
    """What the last run learned of what people like. judgements: votes and choices that counted. known: whether it is surely
    known; why: in words."""

    judgements: int
    known: bool
    why: str


@dataclass(frozen=True)
class GateVerdicts:
    """The gate's last verdict on each version. last: the latest of them; rejections: how many of the latest were none but
    rejections."""

    counts: dict[Verdict, int]
    last: Decision | None
    rejections: int


@dataclass(frozen=True)
class LoopHealth:
    """None, or nothing in it: not known, or there is nothing of the kind.

    at: when it was asked. waiting_since: when the oldest event was received that no fold has sealed. last_training: when the
    newest version was registered.
    """

    at: datetime
    events: EventCounts | None
    waiting_since: datetime | None
    approval: Sequence[VoteShare]
    taste: TasteReport | None
    last_fold: datetime | None
    last_training: datetime | None
    verdicts: GateVerdicts | None
    drift: DriftReport | None
    disk: DiskSpace | None
    sizes: StoreSizes | None

    def age(self, time: datetime | None, now: datetime | None = None) -> float | None:
        """Seconds since then; clocks of two machines may differ, and nothing is younger than nothing."""
        return None if time is None else max(0.0, ((now or self.at) - time).total_seconds())


def examine(project: Project, registry: Registry, store: EventStore | None, sizes: StoreSizes | None) -> LoopHealth:
    """Ask for everything.

    store: None where there is no database, or none that answers. sizes: what was counted of the disk.
    """
    now = timestamps.now()
    versions = known(registry.outlines)
    return LoopHealth(
        at=now,
        events=known(store.counts) if store else None,
        waiting_since=known(store.waiting_since) if store else None,
        approval=(known(lambda: approval(store, now)) or ()) if store else (),
        taste=known(lambda: read_taste(project.reports)),
        last_fold=known(lambda: last_fold(project)),
        last_training=max((version.created for version in versions or ()), default=None),
        verdicts=None if versions is None else verdicts(versions),
        drift=drift.read(project),
        disk=known(lambda: storage.disk(project)),
        sizes=sizes,
    )


@contextmanager
def open_store(project: Project) -> Iterator[EventStore | None]:
    """The database of events; None where there is none, or it does not answer."""
    with ExitStack() as stack:
        store = None
        if database.reachable(project.database_url):
            store = known(lambda: stack.enter_context(EventStore.open(project.database_url)))
        yield store


def known(find: Callable[[], T]) -> T | None:
    """What it finds; None where it cannot be found now."""
    try:
        return find()
    except (GenloopError, OSError):
        return None


def approval(store: EventStore, now: datetime) -> list[VoteShare]:
    """Of those windows in which somebody has voted."""
    counts = store.votes_since([now - timedelta(days=days) for days in WINDOWS])
    return [
        VoteShare(days, count.votes, count.likes, *intervals.wilson(count.likes / count.votes, count.votes))
        for days, count in zip(WINDOWS, counts, strict=True)
        if count.votes
    ]


def read_taste(folder: Path) -> TasteReport:
    """Raises InputError where the stage `approval` has not run."""
    report = reports.read(folder, "approval")
    return TasteReport(report["votes"] + report["choices"], report.get("auc_low", 0.0) > 0.5, str(report["why"]))


def last_fold(project: Project) -> datetime | None:
    """When data/feedback.json was committed that lists what was folded last; without git, when its newest file was written."""
    if not manifest.read(project.manifest).batches:
        return None
    if committed := git.committed_at(project, project.manifest):
        return committed
    times = [path.stat().st_mtime for path in manifest.files_in(project.feedback)]
    return datetime.fromtimestamp(max(times), UTC) if times else None


def verdicts(versions: Sequence[VersionOutline]) -> GateVerdicts:
    judged = sorted((one for one in map(decisions.latest, versions) if one), key=lambda one: (one.at, one.challenger))
    counts = Counter(one.verdict for one in judged)
    rejections = 0
    for one in reversed(judged):
        if one.verdict != "reject":
            break
        rejections += 1
    return GateVerdicts({name: counts[name] for name in VERDICTS}, judged[-1] if judged else None, rejections)


def warnings(health: LoopHealth) -> Iterator[str]:
    """What needs a person, and what to do."""
    if health.events and health.events.new and health.waiting_since and health.at - health.waiting_since >= PATIENCE:
        days = (health.at - health.waiting_since).days
        yield (
            f"{health.events.new:,} events wait, the oldest for {days} days: nothing folds them; `genloop fold` does, and the "
            "schedules (`python -m flows.schedules`) do it again and again"
        )
    if health.disk and health.disk.low:
        free, total = map(describe_bytes, (health.disk.free, health.disk.total))
        yield f"{free} of {total} of disk are free: make room before runs fail; `genloop gc --dry-run` says what could go"
    for kind in drift.clear(health.drift.kinds) if health.drift else ():
        yield f"{drift.NAMES[kind]} differ from the reference data, beyond chance: look at them before they are trained on"
    if health.verdicts and health.verdicts.rejections >= REJECTIONS:
        yield (
            f"the gate has rejected the last {health.verdicts.rejections} versions it judged: look at what they lack (`genloop "
            "promote --dry-run`), and at the feedback that they learned from (data/reports/feedback.html)"
        )
