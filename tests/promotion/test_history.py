"""What was champion, when, and why; and that the history notices what it was not told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelines.feedback.store import database
from pipelines.promotion import history, ledger, moves
from pipelines.promotion.ledger import Ledger, Move
from pipelines.registry import client
from pipelines.registry.client import CHALLENGER, CHAMPION
from pipelines.settings.schema import Params
from tests.conftest import MakeParams
from tests.promotion.registry import CREATED, Registry, install


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return install(monkeypatch)


@pytest.fixture
def params(url: str, known: Registry, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A database, a registry with no champion, and versions that are taken for usable."""
    monkeypatch.setenv(database.VARIABLE, url)
    monkeypatch.setattr(moves, "try_out", lambda params, version: None)
    return make_params()


def promote(params: Params, *versions: int) -> None:
    for version in versions:
        moves.move(params, version, client.holder(params, CHAMPION), "ann", "promote", "better")


def rollback(params: Params) -> int | None:
    version = history.before(params)
    if version is not None:
        moves.move(params, version, client.holder(params, CHAMPION), "ann", "rollback", "worse")
    return version


def test_where_nothing_was_ever_champion_asking_makes_nothing(
    project: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(database.VARIABLE, f"sqlite:///{project}/feedback.db")
    params = make_params()
    assert history.settle(params) == history.moves(params) == []
    assert history.before(params) is None
    assert history.champion_at(params, datetime.now(UTC)) is None
    assert list(project.iterdir()) == []


def test_the_first_champion_is_entered_as_of_when_it_was_made(params: Params) -> None:
    assert history.settle(params) == []  # a registry without a champion
    client.point(params, CHAMPION, 1)
    (entered,) = history.settle(params)
    assert (entered.from_, entered.to, entered.verdict, entered.by) == (None, 1, "first", "register")
    assert entered.at == CREATED
    assert history.settle(params) == []
    assert history.moves(params) == [entered]


@pytest.mark.parametrize("version", [1, 4])
def test_a_first_champion_that_register_cannot_have_made_is_entered_as_of_now(params: Params, version: int) -> None:
    client.point(params, CHALLENGER, 1)
    client.point(params, CHAMPION, version)
    before = datetime.now(UTC)
    (entered,) = history.settle(params)
    assert (entered.from_, entered.to, entered.verdict, entered.by) == (None, version, "outside", "unknown")
    assert entered.reason == "was champion already when this history began"
    assert entered.at >= before


def test_what_was_done_in_mlflow_s_own_page_is_entered(params: Params, known: Registry) -> None:
    promote(params, 1, 2)
    client.point(params, CHAMPION, 5)
    (entered,) = history.settle(params)
    assert (entered.from_, entered.to, entered.verdict, entered.by) == (2, 5, "outside", "unknown")
    assert entered.reason.startswith("the alias was moved without Genloop, between 20")
    known.delete(5)  # the alias goes with it
    (entered,) = history.settle(params)
    assert (entered.from_, entered.to, entered.reason) == (5, None, "version 5 is no longer in the registry")
    client.point(params, CHAMPION, 2)
    (entered,) = history.settle(params)
    assert (entered.from_, entered.to) == (None, 2)
    assert history.settle(params) == []


def test_what_was_champion_at_a_time_is_known(params: Params) -> None:
    times = [datetime.now(UTC)]
    for version in (3, 2):
        promote(params, version)
        times.append(datetime.now(UTC))
    client.point(params, CHAMPION, None)
    history.settle(params)
    times.append(datetime.now(UTC))
    assert [history.champion_at(params, time) for time in times] == [None, 3, 2, None]
    assert history.champion_at(params, history.moves(params)[1].at) == 2


def test_times_stay_in_order_where_a_clock_was_set_back(params: Params) -> None:
    promote(params, 2)
    with Ledger.open(params.registry.model) as opened:
        late = opened.moves()[0].at
        added = opened.add(Move(0, params.registry.model, late - timedelta(hours=1), 2, 3, "bob", "promote", "", done=True))
    assert (added.number, added.at) == (2, late)
    assert history.moves(params)[1] == added


def test_rollback_after_rollback_goes_further_back(params: Params) -> None:
    promote(params, 1, 2, 3)
    assert [rollback(params), rollback(params), rollback(params)] == [2, 1, None]
    promote(params, 4)
    assert [rollback(params), rollback(params)] == [1, None]


def test_rollback_passes_over_what_was_deleted(params: Params, known: Registry) -> None:
    promote(params, 1, 2, 3)
    known.delete(2)
    assert [rollback(params), rollback(params)] == [1, None]


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
    for number, (verdict, _, to) in enumerate((words.partition(" ") for words in went), start=1):
        version = None if to == "None" else int(to)
        found.append(Move(number, "m", datetime.now(UTC), None, version, "ann", verdict, ""))  # type: ignore[arg-type]
    assert history.champions(found) == stack


def test_models_have_histories_of_their_own(params: Params, make_params: MakeParams) -> None:
    promote(params, 1)
    assert history.moves(make_params({"registry.model": "another"})) == []


@pytest.mark.parametrize("table", ["promotion_moves", "promotion_done"])
def test_nothing_of_the_history_can_be_changed(params: Params, table: str) -> None:
    promote(params, 1)
    before = history.moves(params)
    with Ledger.open(params.registry.model) as opened:
        lite = opened.engine.dialect.name == "sqlite"
        only = f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}" if lite else f"TRUNCATE {table}"
        for words in (f"UPDATE {table} SET at = ''", f"DELETE FROM {table}", only):
            with opened.engine.begin() as connection, pytest.raises(DBAPIError, match="of promotions is append-only"):
                connection.execute(text(words))
    assert history.moves(params) == before


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
