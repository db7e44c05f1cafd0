"""genloop status counts events without making a database, and without failing where one does not answer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import genloop
from commands import status, summary
from pipelines.core import paths
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import Store
from pipelines.promotion import decisions
from pipelines.registry import client
from tests.conftest import REPOSITORY, MakeParams
from tests.support.fake_registry import Registry
from tests.support.votes import votes
from workspace import dvc

DATABASE = Path("data/feedback.db")


@pytest.fixture
def asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project without stages or registry."""
    (project / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (project / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.delenv(database.VARIABLE, raising=False)
    monkeypatch.setattr(dvc, "status", lambda: {"ingest": "never"})
    return project


def sealed(batch: str, count: int) -> None:
    paths.FEEDBACK.mkdir(parents=True, exist_ok=True)
    seal.write(paths.FEEDBACK, batch, votes(0, count))
    manifest.update()


def test_without_a_database_none_is_made(asked: Path) -> None:
    assert status.events() == {"new": 0, "folded": 0}
    sealed("a", 3)  # as a fresh clone has it
    assert status.events() == {"new": 0, "folded": 3}
    assert not DATABASE.exists()


def test_events_are_counted(asked: Path) -> None:
    with Store.open() as store:
        store.add(votes(0, 5))
        assert status.events() == {"new": 5, "folded": 0}
        seal.fold(store, paths.FEEDBACK)
        store.add(votes(5, 2))
    assert status.events() == {"new": 2, "folded": 5}
    result = CliRunner().invoke(genloop.app, ["status"])
    assert "events: 2 new, 5 folded" in result.stdout


def test_a_database_that_does_not_answer_leaves_the_rest_to_be_said(asked: Path) -> None:
    sealed("a", 3)
    DATABASE.write_text("this is no database, however long one may look at it" * 100)
    result = CliRunner().invoke(genloop.app, ["status", "--json"])
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert set(found) == {"champion", "challenger", "events", "stages"}
    assert found["events"] == {"new": None, "folded": 3}
    assert "file is not a database; restore it from a backup" in result.stderr
    assert "events: new unknown, 3 folded" in CliRunner().invoke(genloop.app, ["status"]).stdout


def test_what_the_gate_said_is_shown(
    asked: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry()
    registry.install(monkeypatch)
    found = {alias: {"version": number, "metrics": {}, "benchmark_id": "abc"} for alias, number in registry.aliases.items()}
    monkeypatch.setattr(client, "versions", lambda _: found)
    assert [of["verdict"] for of in status.versions().values()] == [None, None]
    decisions.remember(make_params(), decisions.judge(make_params(), 3, 2, lambda _: None))
    assert [of["verdict"] for of in status.versions().values()] == [None, "promote"]
    assert re.search(r"challenger +3 .* promote", CliRunner().invoke(genloop.app, ["status"]).stdout)

    summary.show(make_params(), ran=True)
    assert "  gate        version 3 against champion 2: promote (fid: surely better)\n" in capsys.readouterr().out
    registry.aliases[client.CHAMPION] = None
    summary.show(make_params(), ran=True)
    assert "genloop generate --count 64 --out grid.png --version 3\n" in capsys.readouterr().out
