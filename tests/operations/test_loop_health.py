"""How the loop fares: shares with their intervals, ages, verdicts, and warnings where a person is needed."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from operations import loop_health
from operations.loop_health import GateVerdicts, LoopHealth
from operations.storage import DiskSpace
from pipelines.core import timestamps
from pipelines.core.project import Project
from pipelines.feedback.events import parse
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store.event_store import EventCounts, EventStore, VoteCounts
from pipelines.feedback.store.tables import events
from pipelines.metrics import intervals
from pipelines.promotion.decisions import TAG
from pipelines.registry.client import Registry
from pipelines.scoring.drift import Drift, DriftReport
from tests.support.fake_registry import FakeRegistry
from tests.support.kept_project import git
from tests.support.votes import vote, votes

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CALM = LoopHealth(NOW, EventCounts(0, 0), None, (), None, None, None, None, None, None, None)


def cast(number: int, days: float, value: int, **other: Any) -> Any:
    return vote(number, at=timestamps.iso(NOW - timedelta(days=days)), value=value, **other)


def test_the_share_of_likes_is_of_each_window_alone(url: str) -> None:
    quoting = 'not "value":1 at all, "value":1'
    with EventStore.open(url) as store:
        assert loop_health.approval(store, NOW) == []
        store.add([cast(number, 0.5, 1) for number in range(3)])
        store.add([cast(number, 3, -1, reason=quoting) for number in range(10, 15)])
        store.add([cast(number, 20, 1) for number in range(20, 22)])
        store.add([cast(number, 100, 1) for number in range(30, 40)])
        store.add([parse({"id": "c", "type": "choice", "rater": "r", "at": timestamps.iso(NOW - timedelta(hours=1)),
                          "winner": {"version": 1, "seed": 1}, "loser": {"version": 1, "seed": 2}})])  # fmt: skip
        found = loop_health.approval(store, NOW)
    assert [(one.days, one.likes, one.votes) for one in found] == [(1, 3, 3), (7, 3, 8), (30, 5, 10)]
    assert all((one.low, one.high) == intervals.wilson(one.share, one.votes) for one in found)
    assert found[1].low < found[1].share < found[1].high


def test_a_window_without_votes_is_left_out(url: str) -> None:
    with EventStore.open(url) as store:
        store.add([cast(1, 10, 1)])
        assert [one.days for one in loop_health.approval(store, NOW)] == [30]
        assert store.votes_since([NOW]) == [VoteCounts(0, 0)]


def test_the_oldest_event_that_waits_is_known(url: str, project: Project) -> None:
    with EventStore.open(url) as store:
        assert store.waiting_since() is None
        before = timestamps.now()
        store.add(votes(0, 3))
        since = store.waiting_since()
        store.add(votes(3, 3))
        assert since is not None
        assert before <= since <= timestamps.now()
        assert store.waiting_since() == since
        seal.fold(store, project.feedback)
        assert store.waiting_since() is None


@pytest.mark.slow
def test_a_million_votes_are_counted_in_half_a_second(url: str) -> None:
    with EventStore.open(url) as store:
        for part in range(10):
            rows = []
            for number in range(part * 100_000, (part + 1) * 100_000):
                at = timestamps.iso(NOW - timedelta(seconds=3.4 * number), "microseconds")
                value = 1 if number % 3 else -1
                body = (
                    f'{{"id":"e{number}","type":"vote","rater":"rater-{number % 997}","at":"{at}","sample":{{"version":'
                    f'{number % 40 + 1},"seed":{number},"label":{number % 10}}},"value":{value}}}'
                )
                about = {"id": f"e{number}", "type": "vote", "rater": f"rater-{number % 997}", "at": at, "body": body}
                rows.append({**about, "received_at": at, "batch": f"batch-{number % 50}"})
            with store.writer.begin() as connection:
                connection.execute(insert(events), rows)
        times = []
        for _ in range(3):
            began = time.perf_counter()
            found = loop_health.approval(store, NOW)
            times.append(time.perf_counter() - began)
        assert found[-1].votes > 700_000
        assert found[-1].share == pytest.approx(2 / 3, abs=0.001)
        assert min(times) < 0.5, times


def tagged(*decisions: tuple[str, str]) -> FakeRegistry:
    """A registry whose versions have these verdicts, each at its time."""
    fake = FakeRegistry(len(decisions) + 1, None, None)
    for number, (verdict, at) in enumerate(decisions, 1):
        figures = {"verdict": verdict, "challenger": number, "champion": None, "rules": []}
        fake.tag(number, {TAG: json.dumps({"figures": figures, "why": [], "basis": {}, "at": at})})
    return fake


def test_verdicts_are_counted_and_the_latest_ones_in_a_row() -> None:
    times = [f"2026-05-{day:02}T12:00:00Z" for day in (1, 9, 2, 3)]
    fake = tagged(*zip(("reject", "reject", "promote", "reject"), times, strict=True))
    found = loop_health.verdicts(fake.outlines())
    assert found.counts == {"promote": 1, "reject": 3, "undecided": 0}
    assert found.last is not None
    assert (found.last.challenger, found.rejections) == (2, 2)  # by their times, not by their numbers
    assert loop_health.verdicts([]) == GateVerdicts({"promote": 0, "reject": 0, "undecided": 0}, None, 0)


def test_a_real_registry_tells_all_versions_at_once(registry: Registry) -> None:
    registry.tag(3, {"a": "b"})
    found = registry.outlines()
    assert [one.number for one in found] == registry.numbers()
    assert {one.number: one.created for one in found} == {one: registry.version(one).created for one in registry.numbers()}
    assert [one.number for one in found if one.tags == {"a": "b"}] == [3]


def folded(project: Project) -> None:
    project.feedback.mkdir(parents=True, exist_ok=True)
    seal.write(project.feedback, "a", votes(0, 2))
    manifest.update(project.feedback, project.manifest)


def test_the_last_fold_is_as_old_as_its_commit_whatever_a_clone_has_written(kept: Project) -> None:
    assert loop_health.last_fold(kept) is None
    folded(kept)
    written = (kept.feedback / "events-a.parquet").stat().st_mtime
    assert loop_health.last_fold(kept) == datetime.fromtimestamp(written, UTC)
    git(kept.root, "add", "data/feedback.json")
    os.environ["GIT_COMMITTER_DATE"] = "2026-01-02T03:04:05Z"
    try:
        git(kept.root, "commit", "-q", "-m", "Fold")
    finally:
        del os.environ["GIT_COMMITTER_DATE"]
    assert loop_health.last_fold(kept) == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    seal.write(kept.feedback, "b", votes(2, 2))
    manifest.update(kept.feedback, kept.manifest)  # folded again, and not committed yet
    assert loop_health.last_fold(kept) != datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_without_git_the_newest_file_tells_when(project: Project) -> None:
    folded(project)
    os.utime(project.feedback / "events-a.parquet", (1_700_000_000, 1_700_000_000))
    assert loop_health.last_fold(project) == datetime.fromtimestamp(1_700_000_000, UTC)


def test_of_an_empty_project_nothing_is_known_and_nothing_is_made(project: Project) -> None:
    registry: Any = FakeRegistry(0, None, None)
    with loop_health.open_store(project) as store:
        assert store is None
        found = loop_health.examine(project, registry, store, None)
    assert (found.events, found.waiting_since, found.last_fold, found.last_training, found.drift) == (None,) * 5
    assert (found.approval, found.taste, found.sizes) == ((), None, None)
    assert found.disk is not None
    assert list(project.root.iterdir()) == []
    assert list(loop_health.warnings(replace(found, disk=None))) == []


def test_what_the_last_run_has_learned_of_taste(tmp_path: Path) -> None:
    about = {
        "votes": 110,
        "choices": 5,
        "auc": 0.7,
        "auc_low": 0.61,
        "auc_high": 0.79,
        "why": "what people prefer is put first",
    }
    (tmp_path / "approval.json").write_text(json.dumps(about))
    found = loop_health.read_taste(tmp_path)
    assert (found.judgements, found.known) == (115, True)
    (tmp_path / "approval.json").write_text(json.dumps({"votes": 3, "choices": 0, "why": "3 judgements, 100 are needed"}))
    assert not loop_health.read_taste(tmp_path).known


def drifting(low: float) -> DriftReport:
    found = Drift(100, 100, 40, distance=low + 1, low=low, high=low + 2, normal=0.5)
    return DriftReport("2026-06-01T00:00:00Z", "abc", "", {"upload": found})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"events": EventCounts(5, 0), "waiting_since": NOW - timedelta(days=8)}, ["5 events wait, the oldest for 8 days"]),
        ({"events": EventCounts(5, 0), "waiting_since": NOW - timedelta(days=6)}, []),
        ({"disk": DiskSpace(3 * 10**9, 20 * 10**9)}, ["3.0 GB of 20.0 GB of disk are free"]),
        ({"disk": DiskSpace(9 * 10**9, 20 * 10**9)}, []),
        ({"drift": drifting(0.6)}, ["uploads differ from the reference data"]),
        ({"drift": drifting(0.4)}, []),
        ({"verdicts": GateVerdicts({"promote": 0, "reject": 3, "undecided": 0}, None, 3)}, ["rejected the last 3 versions"]),
        ({"verdicts": GateVerdicts({"promote": 0, "reject": 3, "undecided": 0}, None, 2)}, []),
    ],
)
def test_a_person_is_asked_for_where_one_is_needed(changes: dict[str, Any], words: Sequence[str]) -> None:
    found = list(loop_health.warnings(replace(CALM, **changes)))
    assert len(found) == len(words)
    assert all(word in line for word, line in zip(words, found, strict=True))
