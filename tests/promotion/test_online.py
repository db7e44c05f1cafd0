"""online_approval: who is compared with whom, whose votes count, and an interval that may be looked at at any time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.feedback import database, manifest, seal
from pipelines.feedback.events import Sample, Vote
from pipelines.feedback.store import Store
from pipelines.promotion import anytime, online
from tests.conftest import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
CHAMPION, CHALLENGER = 3, 4
IDS = count()


def vote(rater: str, version: int, value: int, seconds: float = 0, seed: int | None = None) -> Vote:
    number = next(IDS)
    sample = Sample(version=version, seed=number if seed is None else seed)
    return Vote(id=f"v{number}", type="vote", rater=rater, at=START + timedelta(seconds=seconds), sample=sample, value=value)


def session(rater: str, champion: Iterable[int], challenger: Iterable[int]) -> list[Vote]:
    """Votes of one person who sees samples of both in turn, one every five seconds."""
    votes = []
    for place, (old, new) in enumerate(zip(champion, challenger, strict=True)):
        votes += [vote(rater, CHAMPION, old, 10 * place), vote(rater, CHALLENGER, new, 10 * place + 5)]
    return votes


@pytest.fixture
def stored(url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(database.VARIABLE, url)
    return url


@pytest.fixture
def asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(database.VARIABLE, f"sqlite:///{project}/feedback.db")
    return project


def add(votes: list[Vote]) -> None:
    with Store.open() as store:
        store.add(votes)


def test_a_rater_is_compared_with_themself_in_order_of_time() -> None:
    votes = [
        vote("strict", CHAMPION, -1),
        vote("strict", CHALLENGER, 1),
        vote("strict", CHALLENGER, -1),
        vote("strict", CHAMPION, -1),
        vote("strict", CHAMPION, 1),  # has no partner yet
        vote("strict", 7, 1),  # of a version that nobody asked about
        vote("once", CHAMPION, 1),
    ]
    assert online.paired(votes, CHALLENGER, CHAMPION) == {"strict": [1, 0]}
    assert online.paired(votes, CHAMPION, CHALLENGER) == {"strict": [-1, 0]}


def test_one_rater_counts_for_twenty_pairs_at_most() -> None:
    votes = session("busy", [-1] * 50, [1] * 50)
    assert online.paired(votes, CHALLENGER, CHAMPION) == {"busy": [1] * online.MOST}


def test_votes_count_once_whether_they_wait_or_are_sealed(stored: str, settings: Settings) -> None:
    add(session("ann", [1, -1], [1, 1]))
    with Store.open() as store:
        seal.fold(store, paths.FEEDBACK)
    manifest.update()
    add(session("bob", [-1, -1], [1, 1]))
    with Store.open() as store:  # a kill came before its file was written
        assert store.claim("killed")
    add(session("eve", [1], [-1]))
    found = online.difference(settings(), CHALLENGER, CHAMPION)
    assert found is not None
    assert (found.pairs, found.raters, found.difference) == (5, 3, pytest.approx((1 + 2 - 1) / 5))
    assert found.interval == anytime.interval([0, 1, 1, 1, -1])


def test_a_clone_without_a_database_goes_by_the_sealed_events(asked: Path, settings: Settings) -> None:
    add(session("ann", [1, -1], [1, 1]))
    with Store.open() as store:
        seal.fold(store, paths.FEEDBACK)
    manifest.update()
    (asked / "feedback.db").unlink()
    found = online.difference(settings(), CHALLENGER, CHAMPION)
    assert found is not None
    assert found.pairs == 2
    assert not (asked / "feedback.db").exists()
    seal.sealed(paths.FEEDBACK)[0].unlink()
    with pytest.raises(GenloopError, match="missing"):
        online.difference(settings(), CHALLENGER, CHAMPION)


def test_without_votes_on_both_there_is_nothing(asked: Path, settings: Settings) -> None:
    assert online.difference(settings(), CHALLENGER, CHAMPION) is None
    add([vote("ann", CHAMPION, 1), vote("bob", CHALLENGER, 1)])
    assert online.difference(settings(), CHALLENGER, CHAMPION) is None


def test_what_came_later_can_be_left_out(asked: Path, settings: Settings) -> None:
    add(session("ann", [-1, 1, 1], [1, -1, -1]))
    found = online.difference(settings(), CHALLENGER, CHAMPION, now=START + timedelta(seconds=9))
    assert found is not None
    assert (found.pairs, found.difference) == (1, 1)


def test_votes_that_are_set_aside_do_not_count(asked: Path, settings: Settings) -> None:
    honest = session("honest", [1, 1, 1], [1, 1, 1])
    robot = [
        vote("robot", version, 2 * (version == CHALLENGER) - 1, n / 9) for n in range(30) for version in (CHAMPION, CHALLENGER)
    ]
    changed = [vote("undecided", CHAMPION, 1, 0, seed=900), vote("undecided", CHAMPION, -1, 9, seed=900)]
    add([*honest, *robot, *changed, vote("undecided", CHALLENGER, 1, 20)])
    found = online.difference(settings(), CHALLENGER, CHAMPION)
    assert found is not None
    assert (found.pairs, found.raters, found.difference) == (4, 2, 0.25)


def test_an_expert_is_believed_whatever_others_say(asked: Path, settings: Settings) -> None:
    seeds = range(1000, 1030)
    for rater in ("a", "b", "c"):
        add([vote(rater, CHAMPION, 1, 30 * n, seed) for n, seed in enumerate(seeds)])
    odd = [vote("odd", CHAMPION, -1, 60 * n, seed) for n, seed in enumerate(seeds)]
    add([*odd, *(vote("odd", CHALLENGER, 1, 60 * n + 30) for n in range(30))])
    assert online.difference(settings(), CHALLENGER, CHAMPION) is None
    found = online.difference(settings({"feedback.experts": ["odd"]}), CHALLENGER, CHAMPION)
    assert found is not None
    assert (found.pairs, found.difference) == (online.MOST, 1)


def half_widths(most: int) -> np.ndarray:
    """(most,) of the intervals about 0 for 1, 2, ... values, before they are cut off at 1."""
    return np.array([anytime.interval([0.0] * number, reach=1.0).high for number in range(1, most + 1)])


def test_looking_after_every_vote_does_no_harm() -> None:
    most, runs = 1000, 2000
    random = np.random.default_rng(0)
    votes = random.choice([-1, 0, 1], (runs, most))  # the widest there is without a difference
    means = np.cumsum(votes, axis=1) / np.arange(1, most + 1)
    ever = (np.abs(means) > half_widths(most)).any(axis=1).mean()
    usual = (np.abs(means[:, 20:]) > 1.96 * np.sqrt(2 / 3 / np.arange(21, most + 1))).any(axis=1).mean()
    assert ever <= 0.05
    assert usual > 0.2  # an ordinary interval, looked at as often, would call one in three different


def test_a_difference_is_found_with_enough_votes() -> None:
    random = np.random.default_rng(0)
    gains = random.choice([-1, 0, 1], 600, p=[0.1, 0.5, 0.4]).tolist()
    assert anytime.interval(gains[:10]).low < 0 < anytime.interval(gains).low
    low, high = anytime.interval(gains)
    assert low < 0.3 < high
    assert high - low < 0.3


def test_an_interval_stays_within_what_can_be() -> None:
    assert anytime.interval([1.0]) == (-1, 1)
    assert anytime.interval([1.0] * 1000).high == 1
    with pytest.raises(ValueError, match="one or more"):
        anytime.interval([])
    with pytest.raises(ValueError, match="between -1"):
        anytime.interval([3.0])
