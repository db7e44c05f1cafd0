"""What was champion, when, and why; and that the history notices what it was not told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelines.core.project import Project
from pipelines.promotion import history, ledger, moves
from pipelines.promotion.ledger import Ledger, Move
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION
from tests.conftest import MakeParams
from tests.support.fake_registry import CREATED, FakeRegistry


@pytest.fixture
def stored(url: str, project: Project) -> Project:
    """A project with a database of either kind."""
    return project.with_variables({"GENLOOP_DATABASE_URL": url})


@pytest.fixture
def known() -> FakeRegistry:
    """A registry with no champion."""
    return FakeRegistry(versions=9, champion=None, challenger=None)


def promote(project: Project, registry: Any, *versions: int) -> None:
    for version in versions:
        moves.move(project, registry, version, registry.alias(CHAMPION), "ann", "promote", "better")


def rollback(project: Project, registry: Any) -> int | None:
    version = history.previous_champion(project, registry)
    if version is not None:
        moves.move(project, registry, version, registry.alias(CHAMPION), "ann", "rollback", "worse")
    return version


def test_where_nothing_was_ever_champion_asking_makes_nothing(project: Project, make_params: MakeParams) -> None:
    registry = Registry.open(project, make_params().registry)
    assert moves.settle(project, registry) == history.moves(project, registry) == []
    assert history.previous_champion(project, registry) is None
    assert history.champion_at(project, registry, datetime.now(UTC)) is None
    assert list(project.root.iterdir()) == []


def test_the_first_champion_is_entered_as_of_when_it_was_made(stored: Project, known: Any) -> None:
    assert moves.settle(stored, known) == []  # a registry without a champion
    known.set_alias(CHAMPION, 1)
    (entered,) = moves.settle(stored, known)
    assert (entered.from_, entered.to, entered.kind, entered.by) == (None, 1, "first", "register")
    assert entered.at == CREATED
    assert moves.settle(stored, known) == []
    assert history.moves(stored, known) == [entered]


@pytest.mark.parametrize("version", [1, 4])
def test_a_first_champion_that_register_cannot_have_made_is_entered_as_of_now(
    stored: Project, known: Any, version: int
) -> None:
    known.set_alias(CHALLENGER, 1)
    known.set_alias(CHAMPION, version)
    before = datetime.now(UTC)
    (entered,) = moves.settle(stored, known)
    assert (entered.from_, entered.to, entered.kind, entered.by) == (None, version, "outside", "unknown")
    assert entered.reason == "was champion already when this history began"
    assert entered.at >= before


def test_what_was_done_in_mlflow_s_own_page_is_entered(stored: Project, known: Any) -> None:
    promote(stored, known, 1, 2)
    known.set_alias(CHAMPION, 5)
    (entered,) = moves.settle(stored, known)
    assert (entered.from_, entered.to, entered.kind, entered.by) == (2, 5, "outside", "unknown")
    assert entered.reason.startswith("the alias was moved without Genloop, between 20")
    known.delete(5)  # the alias goes with it
    (entered,) = moves.settle(stored, known)
    assert (entered.from_, entered.to, entered.reason) == (5, None, "version 5 is no longer in the registry")
    known.set_alias(CHAMPION, 2)
    (entered,) = moves.settle(stored, known)
    assert (entered.from_, entered.to) == (None, 2)
    assert moves.settle(stored, known) == []


def test_what_was_champion_at_a_time_is_known(stored: Project, known: Any) -> None:
    times = [datetime.now(UTC)]
    for version in (3, 2):
        promote(stored, known, version)
        times.append(datetime.now(UTC))
    known.set_alias(CHAMPION, None)
    moves.settle(stored, known)
    times.append(datetime.now(UTC))
    assert [history.champion_at(stored, known, time) for time in times] == [None, 3, 2, None]
    assert history.champion_at(stored, known, history.moves(stored, known)[1].at) == 2


def test_times_stay_in_order_where_a_clock_was_set_back(stored: Project, known: Any) -> None:
    promote(stored, known, 2)
    with Ledger.open(stored.database_url, known.name) as opened:
        late = opened.moves()[0].at
        added = opened.add(Move(0, known.name, late - timedelta(hours=1), 2, 3, "bob", "promote", "", done=True))
    assert (added.number, added.at) == (2, late)
    assert history.moves(stored, known)[1] == added


def test_rollback_after_rollback_goes_further_back(stored: Project, known: Any) -> None:
    promote(stored, known, 1, 2, 3)
    assert [rollback(stored, known), rollback(stored, known), rollback(stored, known)] == [2, 1, None]
    promote(stored, known, 4)
    assert [rollback(stored, known), rollback(stored, known)] == [1, None]


def test_rollback_passes_over_what_was_deleted(stored: Project, known: Any) -> None:
    promote(stored, known, 1, 2, 3)
    known.delete(2)
    assert [rollback(stored, known), rollback(stored, known)] == [1, None]


@pytest.mark.parametrize(
    ("went", "stack"),
    [
        ([], []),
        (["promote 1", "promote 2", "rollback 1"], [1]),
        (["promote 1", "promote 2", "promote 3", "rollback 1"], [1]),
        (["promote 1", "promote 2", "rollback 1", "rollback 2"], [1, 2]),  # as in --to 2: back to what was rolled back
        (["promote 1", "promote 2", "forced 1"], [1, 2, 1]),
        (["promote 1", "promote 2", "forced 1", "rollback 2"], [1, 2]),
        (["first 1", "promote 2", "outside None"], [1, 2, None]),
        (["first 1", "promote 2", "outside None", "rollback 2"], [1, 2]),
    ],
)
def test_the_champions_that_were_never_rolled_back(went: list[str], stack: list[int | None]) -> None:
    found: list[Move] = []
    for number, (kind, _, to) in enumerate((words.partition(" ") for words in went), start=1):
        version = None if to == "None" else int(to)
        found.append(Move(number, "m", datetime.now(UTC), None, version, "ann", kind, ""))  # type: ignore[arg-type]
    assert history.champions(found) == stack


def test_models_have_histories_of_their_own(stored: Project, known: Any) -> None:
    promote(stored, known, 1)
    another = FakeRegistry()
    another.name = "another"
    assert history.moves(stored, another) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("table", ["promotion_moves", "promotion_done"])
def test_nothing_of_the_history_can_be_changed(stored: Project, known: Any, table: str) -> None:
    promote(stored, known, 1)
    before = history.moves(stored, known)
    with Ledger.open(stored.database_url, known.name) as opened:
        lite = opened.engine.dialect.name == "sqlite"
        only = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}" if lite else f"TRUNCATE {table}"
        for words in (f"UPDATE {table} SET at = ''", f"DELETE FROM {table}", only):
            with opened.engine.begin() as connection, pytest.raises(DBAPIError, match="of promotions is append-only"):
                connection.execute(text(words))
    assert history.moves(stored, known) == before


def test_a_move_as_json_has_the_names_that_other_programs_rely_on() -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    move = ledger.Move(2, "m", at, 1, 2, "ann", "promote", "better", "b1", {"verdict": "promote"}, True)
    assert move.as_json() == {
        "at": "2026-01-31T12:00:00.000000Z",
        "model": "m",
        "from": 1,
        "to": 2,
        "by": "ann",
        "verdict": "promote",
        "reason": "better",
        "benchmark_id": "b1",
        "figures": {"verdict": "promote"},
    }
