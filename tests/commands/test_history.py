"""genloop history, as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import genloop
from pipelines.feedback.store import database
from pipelines.promotion import history as promoted
from pipelines.promotion import moves
from pipelines.registry import client
from pipelines.registry.client import CHAMPION
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY


@pytest.fixture
def here(registry: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a registry, and no champion yet."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project)
    monkeypatch.delenv(database.VARIABLE, raising=False)
    monkeypatch.setattr(moves, "try_out", lambda params, version: None)
    return project


def history(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["history", *arguments], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def test_an_empty_history_is_said_and_makes_no_database(here: Path) -> None:
    assert history().out == "no version has been champion yet\n"
    assert json.loads(history("--json").out) == []
    assert history("--at", "2026-01-01").out == "none is known to have been champion then\n"
    assert not Path("data").exists()


def test_every_move_is_listed_oldest_first(here: Path) -> None:
    params = load_params()
    client.point(params, CHAMPION, 1)
    moves.move(params, 2, 1, "ann", "promote", "better [by far]")
    client.point(params, CHAMPION, 3)  # as in MLflow's own page
    found = json.loads(history("--json").out)
    assert [(move["from"], move["to"], move["verdict"]) for move in found] == [
        (None, 1, "first"), (1, 2, "promote"), (2, 3, "outside"),
    ]  # fmt: skip
    assert {"at", "model", "from", "to", "by", "verdict", "reason"} <= set(found[0])
    lines = history().out.splitlines()
    assert lines[0].split() == ["at", "(UTC)", "from", "to", "verdict", "by", "why"]
    assert lines[2].split()[2:] == ["1", "2", "promote", "ann", "better", "[by", "far]"]
    assert lines[1].split()[2:6] == ["-", "1", "first", "register"]


def test_who_was_champion_at_a_time_is_answered(here: Path) -> None:
    params = load_params()
    moves.move(params, 2, None, "ann", "promote", "better")
    first = promoted.moves(params)[0].at
    moves.move(params, 3, 2, "ann", "promote", "better")
    assert history("--at", first.isoformat()).out == "version 2\n"
    found = json.loads(history("--at", first.replace(tzinfo=None).isoformat(), "--json").out)
    assert (found["model"], found["champion"]) == (params.registry.model, 2)
    assert json.loads(history("--at", "2020-01-01", "--json").out)["champion"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at", "yesterday"], "--at yesterday: expected a time as in 2026-01-31"),
        (["--at", "2999-01-01"], "--at 2999-01-01: has not come yet"),
        (["2", "--at", "2026-01-01"], "expected VERSION or --at, came both"),
        (["70"], "has no version 70; its versions: 1, 2"),
    ],
)
def test_what_cannot_be_answered_is_unusable_input(here: Path, arguments: list[str], words: str) -> None:
    done = history(*arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_one_version_says_where_it_comes_from(here: Path) -> None:
    client.point(load_params(), CHAMPION, 2)
    assert history("2").out.startswith("genloop-digits version 2, the champion\n")
    found = json.loads(history("2", "--json").out)
    assert (found["version"], found["aliases"]) == (2, ["champion"])


def test_a_registry_that_does_not_answer_leaves_what_the_database_knows(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves.move(load_params(), 2, None, "ann", "promote", "better")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = history("--json")
    assert [move["to"] for move in json.loads(done.out)] == [2]
    assert "does not answer" in done.err
    assert "what follows is as far as the database knows" in done.err
