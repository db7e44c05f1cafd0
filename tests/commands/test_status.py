"""genloop status counts events without making a database, and without failing where one does not answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from typer.testing import CliRunner

import genloop
from commands import run, status
from operations import promote
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store.event_store import EventStore
from pipelines.promotion import decisions
from pipelines.registry.versions import CHAMPION
from tests.conftest import REPOSITORY, MakeParams
from tests.support.fake_registry import FakeRegistry, install
from tests.support.votes import votes
from workspace import dvc


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


def test_without_a_database_none_is_made(asked: Project) -> None:
    assert status.events(asked) == {"new": 0, "folded": 0}
    sealed(asked, "a", 3)  # as a fresh clone has it
    assert status.events(asked) == {"new": 0, "folded": 3}
    assert not list(asked.data.glob("*.db"))


def test_events_are_counted(asked: Project) -> None:
    with EventStore.open(asked.database_url) as store:
        store.add(votes(0, 5))
        assert status.events(asked) == {"new": 5, "folded": 0}
        seal.fold(store, asked.feedback)
        store.add(votes(5, 2))
    assert status.events(asked) == {"new": 2, "folded": 5}
    result = CliRunner().invoke(genloop.app, ["status"])
    assert "events: 2 new, 5 folded" in result.stdout


def test_a_database_that_does_not_answer_leaves_the_rest_to_be_said(asked: Project) -> None:
    sealed(asked, "a", 3)
    (asked.data / "feedback.db").write_text("this is no database, however long one may look at it" * 100)
    result = CliRunner().invoke(genloop.app, ["status", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert set(found) == {"champion", "challenger", "events", "stages"}
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
