"""genloop rollback, as a user calls it."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.promotion import history, moves
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from tests.conftest import REPOSITORY
from tests.support.calls import Called, call


@pytest.fixture
def here(registry: Registry, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project whose versions 1, 2 and 3 were champions, one after the other."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    monkeypatch.setattr(moves, "smoke_test", lambda registry, version: None)
    registry.set_alias(CHAMPION, 1)
    moves.move(project, registry, 2, 1, "ann", "promote", "better")
    moves.move(project, registry, 3, 2, "ann", "promote", "better")
    return project


def rollback(project: Project, *arguments: str) -> Called:
    return call(project, "rollback", *arguments)


def test_the_champion_before_comes_back_and_the_one_before_that(here: Project, registry: Registry) -> None:
    assert rollback(here).out == "version 2 is champion again, in place of version 3\n"
    found = json.loads(rollback(here, "--reason", "it blurs", "--json").out)
    assert (found["from"], found["to"], found["verdict"], found["reason"]) == (2, 1, "rollback", "it blurs")
    assert found["by"] == moves.person()
    assert registry.alias(CHAMPION) == 1
    done = rollback(here)
    assert (done.code, done.out) == (2, "")
    assert done.err == "genloop: there is no earlier champion to go back to; see `genloop history`\n"


def test_any_earlier_champion_can_be_named_and_no_other_version(here: Project, registry: Registry) -> None:
    assert rollback(here, "--to", "1").out == "version 1 is champion again, in place of version 3\n"
    done = rollback(here, "--to", "4")
    assert done.code == 2
    assert done.err.startswith(
        "genloop: --to 4: has never been champion, so there is no going back to it; champions so far: 1, 2, 3;"
    )
    done = rollback(here, "--to", "1")
    assert (done.code, done.err) == (2, "genloop: version 1 is champion already\n")
    assert registry.alias(CHAMPION) == 1


def test_a_champion_that_was_deleted_is_replaced_by_the_one_before(here: Project, registry: Registry) -> None:
    registry.client.delete_model_version(registry.name, "3")
    done = rollback(here)
    assert done.out == "version 2 is champion again\n"
    assert done.err == "genloop: version 3 is no longer in the registry; now the history has it\n"


def test_what_does_not_load_any_more_does_not_come_back(
    here: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(registry: Any, version: int) -> None:
        raise GenloopError(f"version {version} cannot be used")

    monkeypatch.setattr(moves, "smoke_test", broken)
    done = rollback(here)
    assert (done.code, done.out) == (1, "")
    assert registry.alias(CHAMPION) == 3
    assert [move.to for move in history.moves(here, registry)] == [1, 2, 3]
