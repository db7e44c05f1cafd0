"""The alias moves for one of many, after the history knows of it, and both agree whatever was killed in between."""

from __future__ import annotations

import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.promotion import history, ledger, moves
from pipelines.promotion.moves import ChampionChangedError
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION, TRIED
from tests.conftest import VERSIONS
from tests.promotion import killed
from tests.support.fake_registry import FakeRegistry


@pytest.fixture
def stored(url: str, project: Project) -> Project:
    """A project with a database of either kind."""
    return project.with_variables({"GENLOOP_DATABASE_URL": url})


@pytest.fixture
def known() -> FakeRegistry:
    """A registry whose version 1 is champion, and versions that can be used."""
    return FakeRegistry(versions=VERSIONS, champion=1, challenger=None)


@pytest.fixture
def real(stored: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The same of MLflow's, with versions that are taken for usable."""
    monkeypatch.setattr(moves, "smoke_test", lambda registry, version: None)
    registry.set_alias(CHAMPION, 1)
    return registry


def move(project: Project, registry: Any, to: int, expected: int | None, **more: Any) -> ledger.Move:
    return moves.move(project, registry, to, expected, "ann", "promote", "better", **more)


def went(project: Project, registry: Any) -> list[tuple[int | None, int | None, str]]:
    return [(move.from_, move.to, move.kind) for move in history.moves(project, registry)]


def check(project: Project, registry: Any) -> None:
    """Alias and history agree, and the history is complete and in order."""
    found = history.moves(project, registry)
    assert [move.number for move in found] == list(range(1, len(found) + 1))
    assert all(move.done for move in found)
    assert [move.from_ for move in found] == [None, *(move.to for move in found[:-1])]
    assert sorted(move.at for move in found) == [move.at for move in found]
    assert registry.alias(CHAMPION) == found[-1].to


def test_a_move_is_entered_and_the_alias_follows(stored: Project, known: Any) -> None:
    known.set_alias(CHALLENGER, 2)
    figures = {"verdict": "promote", "benchmark_id": "b1", "rules": [{"metric": "fid", "low": None}]}
    before = datetime.now(UTC)
    made = move(stored, known, 2, 1, figures=figures)
    assert (known.alias(CHAMPION), known.alias(CHALLENGER)) == (2, None)
    found = history.moves(stored, known)[-1]
    assert found == made
    assert (found.by, found.reason, found.figures, found.benchmark_id) == ("ann", "better", figures, "b1")
    assert before <= found.at <= datetime.now(UTC)
    assert went(stored, known) == [(None, 1, "first"), (1, 2, "promote")]
    check(stored, known)


def test_another_challenger_stays(stored: Project, known: Any) -> None:
    known.set_alias(CHALLENGER, 3)
    move(stored, known, 2, 1)
    assert known.alias(CHALLENGER) == 3


def test_who_compared_with_another_champion_has_lost_and_is_told_to_whom(stored: Project, known: Any) -> None:
    move(stored, known, 2, 1)
    with pytest.raises(ChampionChangedError) as found:
        move(stored, known, 3, 1)
    assert str(found.value).startswith(
        "version 3 was to follow version 1, but champion is version 2: ann moved it there from version 1 at 20"
    )
    assert "nothing was moved" in str(found.value)
    with pytest.raises(ChampionChangedError, match="version 3 was to follow none, but champion is version 2"):
        move(stored, known, 3, None)
    assert went(stored, known) == [(None, 1, "first"), (1, 2, "promote")]
    check(stored, known)


def test_a_first_champion_can_be_promoted_and_what_is_champion_cannot(stored: Project, known: Any) -> None:
    known.set_alias(CHAMPION, None)
    with pytest.raises(ChampionChangedError, match="version 2 was to follow version 1, but there is no champion"):
        move(stored, known, 2, 1)
    move(stored, known, 2, None)
    assert went(stored, known) == [(None, 2, "promote")]
    with pytest.raises(InputError, match="version 2 is champion already"):
        move(stored, known, 2, 2)
    check(stored, known)


def test_what_somebody_moved_without_genloop_counts(stored: Project, known: Any) -> None:
    move(stored, known, 2, 1)
    known.set_alias(CHAMPION, 5)
    with pytest.raises(ChampionChangedError, match="champion is version 5: unknown moved it there from version 2"):
        move(stored, known, 3, 2)
    move(stored, known, 3, 5)
    assert went(stored, known) == [(None, 1, "first"), (1, 2, "promote"), (2, 5, "outside"), (5, 3, "promote")]
    check(stored, known)


def test_of_many_at_once_one_wins_and_the_others_say_so(stored: Project, real: Registry) -> None:
    def one(to: int) -> str:
        try:
            return f"won {move(stored, real, to, 1).to}"
        except ChampionChangedError as lost:
            return str(lost).partition(": ")[0].rpartition(" was to follow ")[2]

    with ThreadPoolExecutor(VERSIONS - 1) as pool:
        said = Counter(pool.map(one, range(2, VERSIONS + 1)))
    winner = real.alias(CHAMPION)
    assert said == {f"won {winner}": 1, f"version 1, but champion is version {winner}": VERSIONS - 2}
    check(stored, real)


def test_a_lock_that_never_comes_is_said(stored: Project, known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "WAIT", 1)
    with ledger.Ledger.open(stored.database_url, known.name) as holder, holder.exclusive():
        with pytest.raises(GenloopError, match="another promotion or rollback has been going on for 1 seconds"):
            move(stored, known, 2, 1)
        assert went(stored, known) == []  # readers do not wait
    move(stored, known, 2, 1)


def test_a_killed_move_is_finished_or_was_never_begun(stored: Project, real: Registry) -> None:
    """At each third step, which is one of every kind; the next test has them all."""
    kill_at(stored, real, slice(1, None, 3))


@pytest.mark.slow
def test_a_kill_at_any_step_leaves_history_and_alias_in_agreement(stored: Project, real: Registry) -> None:
    kill_at(stored, real, slice(None))


def kill_at(stored: Project, registry: Registry, some: slice) -> None:
    moves.settle(stored, registry)
    registry.set_alias(CHALLENGER, 2)
    code, steps = killed.move(stored, registry.name, 2, 1)
    assert (code, registry.alias(CHAMPION)) == (0, 2)
    assert steps >= 12
    champion, number = 2, 2
    begun = []
    for step in range(1, steps + 1)[some]:
        to = 3 if champion == 2 else 2
        registry.set_alias(CHALLENGER, to)
        assert killed.move(stored, registry.name, to, champion, step)[0] == -signal.SIGKILL, step
        moves.settle(stored, registry)
        check(stored, registry)
        found = history.moves(stored, registry)
        begun.append(len(found) > number)
        if begun[-1]:
            assert (found[-1].from_, found[-1].to, found[-1].kind, found[-1].by) == (champion, to, "promote", "killed")
            champion, number = to, number + 1
        assert len(found) == number
        assert registry.alias(CHALLENGER) == (None if begun[-1] else to)
    assert begun == sorted(begun)  # first it was never begun, later always finished
    assert set(begun) == {False, True}


class Died(BaseException):
    """A process that dies, without one."""


def stopped(stored: Project, registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A move from 1 to 2 that was entered, and came no further."""

    def stop(*_: Any) -> None:
        raise Died

    with monkeypatch.context() as patch:
        patch.setattr(moves, "follow", stop)
        with pytest.raises(Died):
            move(stored, registry, 2, 1)
    assert [move.done for move in history.moves(stored, registry)] == [True, False]


def test_the_next_move_finishes_the_one_before(stored: Project, known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(stored, known, monkeypatch)
    with pytest.raises(ChampionChangedError, match="champion is version 2"):
        move(stored, known, 3, 1)
    move(stored, known, 3, 2)
    assert went(stored, known) == [(None, 1, "first"), (1, 2, "promote"), (2, 3, "promote")]
    check(stored, known)


def test_what_somebody_set_after_a_move_that_died_stays(stored: Project, known: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped(stored, known, monkeypatch)
    known.set_alias(CHAMPION, 7)
    moves.settle(stored, known)
    assert went(stored, known) == [(None, 1, "first"), (1, 2, "promote"), (2, 7, "outside")]
    check(stored, known)


def test_a_version_that_was_deleted_after_its_move_died_is_no_champion(
    stored: Project, known: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped(stored, known, monkeypatch)
    known.delete(2)
    moves.settle(stored, known)
    assert went(stored, known) == [(None, 1, "first"), (1, 2, "promote"), (2, 1, "outside")]
    assert history.moves(stored, known)[-1].reason == "version 2 is no longer in the registry"
    check(stored, known)


class Faulty:
    """A sampler that draws as many images, whatever it is asked for, or fails."""

    def __init__(self, outcome: Exception | int) -> None:
        self.outcome = outcome

    def draw(self, seeds: np.ndarray, labels: None) -> np.ndarray:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return np.zeros((self.outcome, 8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (ValueError("bad weights\nand more"), "ValueError: bad weights;"),
        (OSError(), "OSError: no words;"),
        (3, "generates 3 images"),
    ],
)
def test_what_does_not_load_and_draw_never_becomes_champion(
    project: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch, outcome: Any, words: str
) -> None:
    monkeypatch.setattr(registry, "load_model", lambda uri: Faulty(outcome))
    registry.set_alias(CHAMPION, 1)
    with pytest.raises(GenloopError, match=rf"version 2 cannot be used: .*{words}.*no alias has moved"):
        move(project, registry, 2, 1)
    assert registry.alias(CHAMPION) == 1
    assert history.moves(project, registry) == []
    with pytest.raises(InputError, match="has no version 70"):
        move(project, registry, 70, 1)
    monkeypatch.setattr(registry, "load_model", lambda uri: Faulty(TRIED))
    assert move(project, registry, 2, 1).to == 2


def test_who_typed_the_command_is_named_even_where_the_system_knows_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    assert moves.person().startswith("ann@")

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(moves.getpass, "getuser", nameless)
    assert moves.person().startswith("somebody@")
