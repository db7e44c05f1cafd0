"""Figures of the loop: found out beside the answers, printed at once, and absent where they are not known."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from operations import loop_health, storage
from operations.loop_health import GateVerdicts, LoopHealth, VoteShare
from operations.storage import DiskSpace, StoreSizes
from pipelines.core import timestamps
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store.event_store import EventCounts, EventStore
from pipelines.scoring.drift import Drift, DriftReport
from studio import loop_gauges
from studio.loop_gauges import LoopGauges
from tests.studio.conftest import StudioRegistry
from tests.studio.serving import Studio, wait_for
from tests.support.fake_registry import FakeRegistry
from tests.support.votes import vote

HOUR_AGO = timestamps.now() - timedelta(hours=1)
# By these names the board and the alerts ask.
NAMES = {
    "drift", "drift_low", "drift_high", "class_balance", "approval_rate", "last_fold_age_seconds", "waiting_events", "verdicts",
    "last_training_age_seconds", "disk_free_bytes", "cache_bytes",
}  # fmt: skip


def printed(health: LoopHealth | None, project: Project) -> dict[str, float]:
    gauges = LoopGauges(project, FakeRegistry(), print)  # type: ignore[arg-type]
    gauges.health = health
    registry = CollectorRegistry()
    registry.register(gauges)
    lines = generate_latest(registry).decode().splitlines()
    pairs = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name.removeprefix("genloop_"): float(value) for name, _, value in pairs}


def test_all_that_is_known_is_printed_by_the_names_that_boards_use(project: Project) -> None:
    kinds: Any = {
        "upload": Drift(90, 90, 40, distance=0.8, low=0.1, high=1.6, normal=1.2, balance=0.5),
        "ingest": Drift(3, 3, 40, why="too few", balance=0.25),
    }
    health = LoopHealth(
        timestamps.now(),
        EventCounts(7, 3),
        HOUR_AGO,
        [VoteShare(7, 4, 3, 0.3, 0.9)],
        None,
        HOUR_AGO,
        HOUR_AGO,
        GateVerdicts({"promote": 2, "reject": 1, "undecided": 0}, None, 1),
        DriftReport("", "abc", "", kinds),
        DiskSpace(5000, 9000),
        StoreSizes(HOUR_AGO, {"dvc": 100, "database": 7}),
    )
    found = printed(health, project)
    ages = {name: found.pop(name) for name in list(found) if name.endswith("age_seconds")}
    assert set(ages) == {"last_fold_age_seconds", "last_training_age_seconds", "oldest_waiting_event_age_seconds"}
    assert all(3600 <= age < 7200 for age in ages.values())
    assert found == {
        'drift{kind="upload"}': 0.8,
        'drift_low{kind="upload"}': 0.1,
        'drift_high{kind="upload"}': 1.6,
        'drift_normal{kind="upload"}': 1.2,
        'class_balance{kind="upload"}': 0.5,
        'class_balance{kind="ingest"}': 0.25,
        'approval_rate{window="7d"}': 0.75,
        "waiting_events": 7,
        'verdicts{verdict="promote"}': 2,
        'verdicts{verdict="reject"}': 1,
        'verdicts{verdict="undecided"}': 0,
        "rejections_in_a_row": 1,
        "disk_free_bytes": 5000,
        'cache_bytes{store="dvc"}': 100,
        'cache_bytes{store="database"}': 7,
    }
    assert {name.partition("{")[0] for name in [*found, *ages]} >= NAMES


def test_what_is_not_known_is_absent(project: Project) -> None:
    assert printed(None, project) == {}
    nothing = LoopHealth(timestamps.now(), None, None, (), None, None, None, None, None, None, None)
    assert printed(nothing, project) == {}


def test_a_look_that_fails_is_said_once_and_leaves_what_was_known(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    gauges = LoopGauges(project, FakeRegistry(), said.append)  # type: ignore[arg-type]
    monkeypatch.setattr(storage, "count_apart", lambda project: None)
    gauges.look()
    before = gauges.health
    assert before is not None
    monkeypatch.setattr(loop_health, "examine", lambda *_: 1 / 0)
    gauges.look()
    gauges.look()
    assert gauges.health is before
    assert said == ["the figures of the loop are not known: division by zero"]


def test_a_part_that_does_not_answer_takes_no_other_away(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    class AwayRegistry(FakeRegistry):
        def outlines(self) -> Any:
            raise GenloopError("MLflow does not answer")

    (project.root / "data").mkdir()
    (project.root / "data" / "feedback.db").write_text("no database" * 100)
    monkeypatch.setattr(storage, "count_apart", lambda project: None)
    gauges = LoopGauges(project, AwayRegistry(), print)  # type: ignore[arg-type]
    gauges.look()
    assert set(printed(gauges.health, project)) == {"disk_free_bytes"}


def test_a_studio_finds_them_out_beside_its_answers(
    project: Project, registry: StudioRegistry, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the thread of their own; the scrape only prints them."""
    client = studio.client()
    assert "genloop_waiting_events 0.0" not in client.get("/metrics").text
    with EventStore.open(project.database_url) as store:
        store.add([vote(number, at=timestamps.iso(HOUR_AGO)) for number in range(5)])
        seal.fold(store, project.feedback)
        store.add([vote(number, at=timestamps.iso(HOUR_AGO), value=-1) for number in range(5, 7)])
    manifest.update(project.feedback, project.manifest)
    monkeypatch.setattr(storage, "count_apart", storage.count)
    gauges = next(one for one in studio.service.monitor.registry._collector_to_names if isinstance(one, LoopGauges))
    gauges.look()
    text = client.get("/metrics").text
    assert "genloop_waiting_events 2.0" in text
    assert f'genloop_approval_rate{{window="1d"}} {5 / 7}' in text
    assert re.search(r"genloop_last_fold_age_seconds \d", text)
    assert 'genloop_cache_bytes{store="database"}' in text
    times = []
    for _ in range(20):
        began = time.perf_counter()
        assert client.get("/metrics").status_code == httpx.codes.OK
        times.append(time.perf_counter() - began)
    assert sorted(times)[len(times) // 2] < 0.05, times


def test_the_thread_looks_again_and_again_until_the_studio_ends(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []
    monkeypatch.setattr(loop_gauges, "FIRST", 0.01)
    monkeypatch.setattr(loop_gauges, "EVERY", 0.01)
    monkeypatch.setattr(LoopGauges, "look", lambda self: looks.append(time.monotonic()))
    gauges = LoopGauges(project, FakeRegistry(), print)  # type: ignore[arg-type]
    gauges.start()
    wait_for(lambda: len(looks) > 3)
    gauges.close()
    gauges.thread.join(5)
    assert not gauges.thread.is_alive()
