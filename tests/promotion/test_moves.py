"""The alias moves for one of many, after the history knows of it, and both agree whatever was killed in between."""

from __future__ import annotations

import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import GenloopError, InputError
from pipelines.feedback.store import database
from pipelines.promotion import history, ledger, moves
from pipelines.promotion.moves import LostError
from pipelines.registry import client
from pipelines.registry.client import CHALLENGER, CHAMPION
from pipelines.settings.schema import Params
from tests.conftest import VERSIONS, MakeParams
from tests.promotion import killed
from tests.promotion.registry import Registry, install


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Registry:
    return install(monkeypatch)


@pytest.fixture
def params(url: str, known: Registry, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> Params:
    """A database, a registry whose version 1 is champion, and versions that are taken for usable."""
    return prepared(url, make_params, monkeypatch)


@pytest.fixture
def real(url: str, registry: Any, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> Params:
    """The same with a registry of MLflow's."""
    return prepared(url, make_params, monkeypatch)


def prepared(url: str, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> Params:
    monkeypatch.setenv(database.VARIABLE, url)
    monkeypatch.setattr(moves, "try_out", lambda params, version: None)
    found = make_params()
    client.point(found, CHAMPION, 1)
    return found


def move(params: Params, to: int, expected: int | None, **more: Any) -> ledger.Move:
    return moves.move(params, to, expected, "ann", "promote", "better", **more)


def went(params: Params) -> list[tuple[int | None, int | None, str]]:
    return [(move.from_, move.to, move.verdict) for move in history.moves(params)]


def check(params: Params) -> None:
    """Alias and history agree, and the history is complete and in order."""
    found = history.moves(params)
    assert [move.number for move in found] == list(range(1, len(found) + 1))
    assert all(move.done for move in found)
    assert [move.from_ for move in found] == [None, *(move.to for move in found[:-1])]
    assert sorted(move.at for move in found) == [move.at for move in found]
    assert client.holder(params, CHAMPION) == found[-1].to


def test_a_move_is_entered_and_the_alias_follows(params: Params) -> None:
    client.point(params, CHALLENGER, 2)
    figures = {"verdict": "promote", "rules": [{"metric": "fid", "low": None}]}
    before = datetime.now(UTC)
    made = move(params, 2, 1, figures=figures, benchmark_id="b1")
    assert (client.holder(params, CHAMPION), client.holder(params, CHALLENGER)) == (2, None)
    found = history.moves(params)[-1]
    assert found == made
    assert (found.by, found.reason, found.figures, found.benchmark_id) == ("ann", "better", figures, "b1")
    assert before <= found.at <= datetime.now(UTC)
    assert went(params) == [(None, 1, "first"), (1, 2, "promote")]
    check(params)


def test_another_challenger_stays(params: Params) -> None:
    client.point(params, CHALLENGER, 3)
    move(params, 2, 1)
    assert client.holder(params, CHALLENGER) == 3


def test_who_compared_with_another_champion_has_lost_and_is_told_to_whom(params: Params) -> None:
    move(params, 2, 1)
    with pytest.raises(LostError) as found:
        move(params, 3, 1)
    assert str(found.value).startswith(
        "version 3 was to follow version 1, but champion is version 2: ann moved it there from version 1 at 20"
    )
    assert "nothing was moved" in str(found.value)
    with pytest.raises(LostError, match="version 3 was to follow none, but champion is version 2"):
        move(params, 3, None)
    assert went(params) == [(None, 1, "first"), (1, 2, "promote")]
    check(params)


def test_a_first_champion_can_be_promoted_and_what_is_champion_cannot(params: Params) -> None:
    client.point(params, CHAMPION, None)
    with pytest.raises(LostError, match="version 2 was to follow version 1, but there is no champion"):
        move(params, 2, 1)
    move(params, 2, None)
    assert went(params) == [(None, 2, "promote")]
    with pytest.raises(InputError, match="version 2 is champion already"):
        move(params, 2, 2)
    check(params)


def test_what_somebody_moved_without_genloop_counts(params: Params) -> None:
    move(params, 2, 1)
    client.point(params, CHAMPION, 5)
    with pytest.raises(LostError, match="champion is version 5: unknown moved it there from version 2"):
        move(params, 3, 2)
    move(params, 3, 5)
    assert went(params) == [(None, 1, "first"), (1, 2, "promote"), (2, 5, "outside"), (5, 3, "promote")]
    check(params)


def test_of_many_at_once_one_wins_and_the_others_say_so(real: Params) -> None:
    def one(to: int) -> str:
        try:
            return f"won {move(real, to, 1).to}"
        except LostError as lost:
            return str(lost).partition(": ")[0].rpartition(" was to follow ")[2]

    with ThreadPoolExecutor(VERSIONS - 1) as pool:
        said = Counter(pool.map(one, range(2, VERSIONS + 1)))
    winner = client.holder(real, CHAMPION)
    assert said == {f"won {winner}": 1, f"version 1, but champion is version {winner}": VERSIONS - 2}
    check(real)


def test_a_lock_that_never_comes_is_said(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "WAIT", 1)
    with ledger.Ledger.open(params.registry.model) as holder, holder.alone():
        with pytest.raises(GenloopError, match="another promotion or rollback has been going on for 1 seconds"):
            move(params, 2, 1)
        assert went(params) == []  # readers do not wait
    move(params, 2, 1)


def test_a_killed_move_is_finished_or_was_never_begun(real: Params) -> None:
    """At each third step, which is one of every kind; the next test has them all."""
    kill_at(real, slice(1, None, 3))


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_history_and_alias_in_agreement(real: Params) -> None:
    kill_at(real, slice(None))


def kill_at(params: Params, some: slice) -> None:
    history.settle(params)
    client.point(params, CHALLENGER, 2)
    code, steps = killed.move(params, 2, 1)
    assert (code, client.holder(params, CHAMPION)) == (0, 2)
    assert steps >= 12
    champion, number = 2, 2
    begun = []
    for step in range(1, steps + 1)[some]:
        to = 3 if champion == 2 else 2
        client.point(params, CHALLENGER, to)
        assert killed.move(params, to, champion, step)[0] == -signal.SIGKILL, step
        history.settle(params)
        check(params)
        found = history.moves(params)
        begun.append(len(found) > number)
        if begun[-1]:
            assert (found[-1].from_, found[-1].to, found[-1].verdict, found[-1].by) == (champion, to, "promote", "killed")
            champion, number = to, number + 1
        assert len(found) == number
        assert client.holder(params, CHALLENGER) == (None if begun[-1] else to)
    assert begun == sorted(begun)  # first it was never begun, later always finished
    assert set(begun) == {False, True}


class Died(BaseException):
    """A process that dies, without one."""


def stopped(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    """A move from 1 to 2 that was entered, and came no further."""

    def stop(*_: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(history, "follow", stop)
        with pytest.raises(Died):
            move(params, 2, 1)
    assert [move.done for move in history.moves(params)] == [True, False]


def test_the_next_move_finishes_the_one_before(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(params, monkeypatch)
    with pytest.raises(LostError, match="champion is version 2"):
        move(params, 3, 1)
    move(params, 3, 2)
    assert went(params) == [(None, 1, "first"), (1, 2, "promote"), (2, 3, "promote")]
    check(params)


def test_what_somebody_set_after_a_move_that_died_stays(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(params, monkeypatch)
    client.point(params, CHAMPION, 7)
    history.settle(params)
    assert went(params) == [(None, 1, "first"), (1, 2, "promote"), (2, 7, "outside")]
    check(params)


def test_a_version_that_was_deleted_after_its_move_died_is_no_champion(
    params: Params, known: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(params, monkeypatch)
    known.delete(2)
    history.settle(params)
    assert went(params) == [(None, 1, "first"), (1, 2, "promote"), (2, 1, "outside")]
    assert history.moves(params)[-1].reason == "version 2 is no longer in the registry"
    check(params)


class Drawer:
    def __init__(self, drawn: Any) -> None:
        self.drawn = drawn

    def draw(self, seeds: np.ndarray, labels: None) -> np.ndarray:
        if isinstance(self.drawn, Exception):
            raise self.drawn
        return np.zeros((self.drawn, 8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    ("drawn", "words"),
    [
        (ValueError("bad weights\nand more"), "ValueError: bad weights;"),
        (OSError(), "OSError: no words;"),
        (3, "draws 3 images"),
    ],
)
def test_what_does_not_load_and_draw_never_becomes_champion(
    project: Path, registry: Any, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch, drawn: Any, words: str
) -> None:
    monkeypatch.setenv(database.VARIABLE, f"sqlite:///{project}/feedback.db")
    monkeypatch.setattr(client, "load_uri", lambda uri: Drawer(drawn))
    params = make_params()
    client.point(params, CHAMPION, 1)
    with pytest.raises(GenloopError, match=rf"version 2 cannot be used: .*{words}.*no alias has moved"):
        move(params, 2, 1)
    assert client.holder(params, CHAMPION) == 1
    assert history.moves(params) == []
    with pytest.raises(InputError, match="has no version 70"):
        move(params, 70, 1)
    monkeypatch.setattr(client, "load_uri", lambda uri: Drawer(client.TRIED))
    assert move(params, 2, 1).to == 2


def test_who_typed_the_command_is_named_even_where_the_system_knows_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert moves.person().startswith("ann@")

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(moves.getpass, "getuser", nameless)
    assert moves.person().startswith("somebody@")
