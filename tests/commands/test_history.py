"""genloop history, as a user calls it."""

from __future__ import annotations

import json
import shutil

import pytest

from pipelines.core.project import Project
from pipelines.promotion import history as promoted
from pipelines.promotion import moves
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from tests.conftest import REPOSITORY
from tests.support.calls import Called, call


@pytest.fixture
def here(registry: Registry, project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a registry, and no champion yet."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    monkeypatch.setattr(moves, "smoke_test", lambda registry, version: None)
    return project


def history(project: Project, *arguments: str) -> Called:
    return call(project, "history", *arguments)


def test_an_empty_history_is_said_and_makes_no_database(here: Project) -> None:
    assert history(here).out == "no version has been champion yet\n"
    assert json.loads(history(here, "--json").out) == []
    assert history(here, "--at", "2026-01-01").out == "none is known to have been champion then\n"
    assert not here.data.exists()


def test_every_move_is_listed_oldest_first(here: Project, registry: Registry) -> None:
    registry.set_alias(CHAMPION, 1)
    moves.move(here, registry, 2, 1, "ann", "promote", "better [by far]")
    registry.set_alias(CHAMPION, 3)  # as in MLflow's own page
    found = json.loads(history(here, "--json").out)
    assert [(move["from"], move["to"], move["verdict"]) for move in found] == [
        (None, 1, "first"), (1, 2, "promote"), (2, 3, "outside"),
    ]  # fmt: skip
    assert {"at", "model", "from", "to", "by", "verdict", "reason"} <= set(found[0])
    lines = history(here).out.splitlines()
    assert lines[0].split() == ["at", "(UTC)", "from", "to", "verdict", "by", "why"]
    assert lines[2].split()[2:] == ["1", "2", "promote", "ann", "better", "[by", "far]"]
    assert lines[1].split()[2:6] == ["-", "1", "first", "register"]


def test_who_was_champion_at_a_time_is_answered(here: Project, registry: Registry) -> None:
    moves.move(here, registry, 2, None, "ann", "promote", "better")
    first = promoted.moves(here, registry)[0].at
    moves.move(here, registry, 3, 2, "ann", "promote", "better")
    assert history(here, "--at", first.isoformat()).out == "version 2\n"
    found = json.loads(history(here, "--at", first.replace(tzinfo=None).isoformat(), "--json").out)
    assert (found["model"], found["champion"]) == (registry.name, 2)
    assert json.loads(history(here, "--at", "2020-01-01", "--json").out)["champion"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--at", "yesterday"], "--at yesterday: expected a time as in 2026-01-31"),
        (["--at", "2999-01-01"], "--at 2999-01-01: is in the future"),
        (["2", "--at", "2026-01-01"], "expected VERSION or --at, came both"),
        (["70"], "has no version 70; its versions: 1, 2"),
    ],
)
def test_what_cannot_be_answered_is_unusable_input(here: Project, arguments: list[str], words: str) -> None:
    done = history(here, *arguments)
    assert (done.code, done.out) == (2, "")
    assert words in done.err


def test_one_version_says_where_it_comes_from(here: Project, registry: Registry) -> None:
    registry.set_alias(CHAMPION, 2)
    assert history(here, "2").out.startswith("genloop-digits version 2, the champion\n")
    found = json.loads(history(here, "2", "--json").out)
    assert (found["version"], found["aliases"]) == (2, ["champion"])


def test_a_registry_that_does_not_answer_leaves_what_the_database_knows(
    here: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves.move(here, registry, 2, None, "ann", "promote", "better")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    done = history(here.with_variables({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}), "--json")
    assert [move["to"] for move in json.loads(done.out)] == [2]
    assert "does not answer" in done.err
    assert "the history below is what the database has" in done.err
