"""genloop status shows the loop on one screen, without making a database, and without failing where one does not answer."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest.mock import ANY

import pytest
from typer.testing import CliRunner

import genloop
from commands import run, status
from operations import promote
from pipelines.core import timestamps
from pipelines.core.project import Project
from pipelines.feedback.events import Event
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store.event_store import EventStore
from pipelines.promotion import decisions
from pipelines.registry.versions import CHAMPION
from pipelines.scoring import drift
from pipelines.scoring.drift import Drift, DriftReport
from tests.conftest import REPOSITORY, MakeParams
from tests.support.fake_registry import FakeRegistry, install
from tests.support.votes import vote, votes
from workspace import dvc

# What programs get beside the keys that DESIGN.md fixes.
MORE = {
    "waiting_since", "last_fold", "last_training", "approval", "taste", "verdicts", "last_verdict", "drift", "disk",
    "cache_bytes", "warnings",
}  # fmt: skip
AMONG = "90 reference rows among themselves (up to 1.2)"
RECENT = timestamps.now() - timedelta(hours=3, minutes=10)


@pytest.fixture
def asked(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project without stages or registry; it is the working directory."""
    (project.root / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(project.root)
    monkeypatch.setattr(dvc, "status", lambda _: {"ingest": "never"})
    return project


def sealed(project: Project, batch: str, count: int) -> None:
    project.feedback.mkdir(parents=True, exist_ok=True)
    seal.write(project.feedback, batch, votes(0, count))
    manifest.update(project.feedback, project.manifest)


def events() -> dict[str, int | None]:
    result = CliRunner().invoke(genloop.app, ["status", "--json"])
    assert result.exit_code == 0, result.stderr
    found: dict[str, int | None] = json.loads(result.stdout)["events"]
    return found


def test_without_a_database_none_is_made(asked: Project) -> None:
    assert events() == {"new": 0, "folded": 0}
    sealed(asked, "a", 3)  # as a fresh clone has it
    assert events() == {"new": 0, "folded": 3}
    assert not list(asked.data.glob("*.db"))


def test_events_are_counted(asked: Project) -> None:
    with EventStore.open(asked.database_url) as store:
        store.add(votes(0, 5))
        assert events() == {"new": 5, "folded": 0}
        seal.fold(store, asked.feedback)
        store.add(votes(5, 2))
    assert events() == {"new": 2, "folded": 5}
    result = CliRunner().invoke(genloop.app, ["status"])
    assert "events: 2 new, 5 folded" in result.stdout


def test_a_database_that_does_not_answer_leaves_the_rest_to_be_said(asked: Project) -> None:
    sealed(asked, "a", 3)
    (asked.data / "feedback.db").write_text("this is no database, however long one may look at it" * 100)
    result = CliRunner().invoke(genloop.app, ["status", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert set(found) == {"champion", "challenger", "events", "stages", *MORE}
    assert found["events"] == {"new": None, "folded": 3}
    assert "file is not a database; restore it from a backup" in result.stderr
    assert "events: new unknown, 3 folded" in CliRunner().invoke(genloop.app, ["status"]).stdout


def test_what_the_gate_said_is_shown(
    asked: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeRegistry()
    install(monkeypatch, asked, fake)
    registry: Any = fake
    assert [of["verdict"] for of in status.versions(registry).values()] == [None, None]
    contest = decisions.contest(asked, registry)
    decisions.remember(registry, promote.judge_contest(asked, make_params(), registry, contest, lambda _: None))
    assert [of["verdict"] for of in status.versions(registry).values()] == [None, "promote"]
    assert re.search(r"challenger +3 .* promote", CliRunner().invoke(genloop.app, ["status"]).stdout)

    run.show(asked, make_params(), registry, ran=True)
    assert "  gate        version 3 against champion 2: promote (fid: surely better)\n" in capsys.readouterr().out
    fake.set_alias(CHAMPION, None)
    run.show(asked, make_params(), registry, ran=True)
    assert "genloop generate --count 64 --out grid.png --version 3\n" in capsys.readouterr().out


def test_the_unbiased_distance_and_its_interval_come_first() -> None:
    metrics = {"fid": 5.048, "fid_unbiased": 0.79, "fid_low": 0.0, "fid_high": 1.591, "fid_floor": 4.212}
    about = {"version": 3, "metrics": metrics, "benchmark_id": "abc", "verdict": "promote"}
    assert status.row("champion", about) == ["champion", "3", "0.79 (0 to 1.59)", "5.05 (ideal 4.21)", "abc", "promote"]
    old = {**about, "metrics": {"fid": 5.048, "fid_low": 0.0, "fid_high": 1.591}}
    assert status.row("champion", old)[2:4] == ["-", "5.05"]


def liked(number: int, value: int) -> Event:
    return vote(number, at=timestamps.iso(RECENT), value=value)


def test_the_whole_loop_is_on_one_screen(asked: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventStore.open(asked.database_url) as store:
        store.add([liked(number, 1 if number % 4 else -1) for number in range(40)])
        seal.fold(store, asked.feedback)
        store.add([liked(number, 1) for number in range(40, 45)])
    manifest.update(asked.feedback, asked.manifest)
    os.utime(next(asked.feedback.glob("events-*")), (RECENT.timestamp(), RECENT.timestamp()))
    asked.reports.mkdir()
    learned = {"votes": 40, "choices": 0, "auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "why": "people prefer some"}
    (asked.reports / "approval.json").write_text(json.dumps(learned))
    uploads = Drift(90, 90, 40, distance=0.8, low=0.1, high=1.6, normal=1.2, balance=0.5, shift=0.1, shift_normal=0.2)
    ingest = replace(uploads, distance=9.0, low=8.0, high=10.0, shift=0.4, waiting=3)
    report = DriftReport(timestamps.iso(RECENT, "seconds"), "abc", "", {"upload": uploads, "ingest": ingest})
    drift.write(asked, report)
    (asked.root / "checkpoints").mkdir()
    (asked.root / "checkpoints" / "step").write_bytes(b"x" * 2_500_000)
    fake = FakeRegistry()
    install(monkeypatch, asked, fake)
    fake.created = RECENT
    decision = promote.judge_contest(asked, make_params(), fake, decisions.contest(asked, fake), lambda _: None)  # type: ignore[arg-type]
    decisions.remember(fake, replace(decision, at=timestamps.iso(RECENT)))  # type: ignore[arg-type]

    result = CliRunner().invoke(genloop.app, ["status"])
    assert result.exit_code == 0, result.stderr
    for line in (
        "events: 5 new, 40 folded; last fold 3 hours ago",
        "approval: 1 day 78% (64 to 87), 7 days 78% (64 to 87), 30 days 78% (64 to 87)",
        "taste: known by 40 judgements: people prefer some",
        "gate: version 3 against champion 2: promote, 3 hours ago; versions judged: 1 promote",
        "training: newest version registered 3 hours ago",
        f"drift: uploads look like the reference data: 0.8 (0.1 to 1.6), as far as {AMONG}",
        f"drift: newly ingested rows differ from the reference data: 9 (8 to 10), further than {AMONG}; 3 more came since",
        "stages: ingest: never",
        "warning: newly ingested rows differ from the reference data, beyond chance: look at them before they are trained on",
    ):
        assert line in result.stdout.splitlines(), (line, result.stdout)
    assert re.search(r"^disk: .+ of .+ free, MLflow 0 bytes, checkpoints 2\.5 MB, events .+ kB$", result.stdout, re.MULTILINE)
    assert len(result.stdout.splitlines()) <= 24  # a screen

    found = json.loads(CliRunner().invoke(genloop.app, ["status", "--json"]).stdout)
    assert found["approval"]["7d"] == {"rate": 35 / 45, "low": pytest.approx(0.637, abs=0.001), "high": ANY, "votes": 45}
    assert found["last_verdict"] == {"verdict": "promote", "challenger": 3, "champion": 2, "at": timestamps.iso(RECENT)}
    assert found["verdicts"] == {"promote": 1, "reject": 0, "undecided": 0}
    assert found["drift"]["upload"]["low"] == 0.1
    assert found["cache_bytes"]["checkpoints"] == 2_500_000
    assert [line.split(",")[0] for line in found["warnings"] if "disk" not in line] == [
        "newly ingested rows differ from the reference data"
    ]


def test_of_a_new_project_only_what_is_there_is_said(asked: Project) -> None:
    lines = CliRunner().invoke(genloop.app, ["status"]).stdout.splitlines()
    assert [line.partition(":")[0] for line in lines if ":" in line and not line.startswith("warning")] == [
        "events", "disk", "stages",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (7199, "1 hour ago"),
        (7200, "2 hours ago"),
        (86_400 * 9.5, "9 days ago"),
    ],
)
def test_ages_are_said_in_the_largest_unit(seconds: float, words: str) -> None:
    assert status.ago(seconds) == words


def test_it_loads_neither_keras_nor_prefect(kept: Project) -> None:
    code = (
        "import sys, genloop\nsys.argv = ['genloop', 'status']\n"
        "try: genloop.main()\nexcept SystemExit: pass\n"
        "print(sorted({'tensorflow', 'keras', 'prefect', 'great_expectations', 'sklearn'} & set(sys.modules)))"
    )
    environment = {**kept.environment, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=kept.root, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "[]"
