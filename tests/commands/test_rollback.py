"""genloop rollback, as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

import genloop
from pipelines.core.errors import GenloopError
from pipelines.feedback.store import database
from pipelines.promotion import history, moves
from pipelines.registry import client
from pipelines.registry.client import CHAMPION
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY


@pytest.fixture
def here(registry: Any, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose versions 1, 2 and 3 were champions, one after the other."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project)
    monkeypatch.delenv(database.VARIABLE, raising=False)
    monkeypatch.setattr(moves, "try_out", lambda params, version: None)
    params = load_params()
    client.point(params, CHAMPION, 1)
    moves.move(params, 2, 1, "ann", "promote", "better")
    moves.move(params, 3, 2, "ann", "promote", "better")
    return project


def rollback(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["rollback", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def champion() -> int | None:
    return client.holder(load_params(), CHAMPION)


def test_the_champion_before_comes_back_and_the_one_before_that(here: Path) -> None:
    assert rollback().out == "version 2 is champion again, in place of version 3\n"
    found = json.loads(rollback("--reason", "it blurs", "--json").out)
    assert (found["from"], found["to"], found["verdict"], found["reason"]) == (2, 1, "rollback", "it blurs")
    assert found["by"] == moves.person()
    assert champion() == 1
    done = rollback()
    assert (done.code, done.out) == (2, "")
    assert done.err == "genloop: there is no earlier champion to go back to; see `genloop history`\n"


def test_any_earlier_champion_can_be_named_and_no_other_version(here: Path) -> None:
    assert rollback("--to", "1").out == "version 1 is champion again, in place of version 3\n"
    done = rollback("--to", "4")
    assert done.code == 2
    assert done.err.startswith(
        "genloop: --to 4: has never been champion, so there is no going back to it; champions so far: 1, 2, 3;"
    )
    done = rollback("--to", "1")
    assert (done.code, done.err) == (2, "genloop: version 1 is champion already\n")
    assert champion() == 1


def test_a_champion_that_was_deleted_is_replaced_by_the_one_before(here: Path, registry: Any) -> None:
    registry.delete_model_version(load_params().registry.model, "3")
    done = rollback()
    assert done.out == "version 2 is champion again\n"
    assert done.err == "genloop: version 3 is no longer in the registry; now the history has it\n"


def test_what_does_not_load_any_more_does_not_come_back(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(make_params: Any, version: int) -> None:
        raise GenloopError(f"version {version} cannot be used")

    monkeypatch.setattr(moves, "try_out", broken)
    done = rollback()
    assert (done.code, done.out) == (1, "")
    assert champion() == 3
    assert [move.to for move in history.moves(load_params())] == [1, 2, 3]
