"""online_approval: who is compared with whom, whose votes count, and an interval that may be looked at at any time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import count

import numpy as np
import pytest

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.events import Sample, Vote
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store.event_store import EventStore
from pipelines.promotion import online_approval
from pipelines.promotion.online_approval import OnlineApproval

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
def stored(url: str, project: Project) -> Project:
    """A project with a database of either kind."""
    return project.with_variables({"GENLOOP_DATABASE_URL": url})


def add(project: Project, votes: list[Vote]) -> None:
    with EventStore.open(project.database_url) as store:
        store.add(votes)


def fold(project: Project) -> None:
    with EventStore.open(project.database_url) as store:
        seal.fold(store, project.feedback)
    manifest.update(project.feedback, project.manifest)


def difference(project: Project, since: datetime = START, until: datetime | None = None) -> OnlineApproval | None:
    return online_approval.difference(project, CHALLENGER, CHAMPION, since, until)


def test_a_rater_is_compared_with_themself_within_the_hour() -> None:
    votes = [
        vote("strict", CHAMPION, -1),
        vote("strict", CHALLENGER, 1, 5),
        vote("strict", CHALLENGER, -1, 10),
        vote("other", CHAMPION, 1, 12),
        vote("strict", CHAMPION, -1, 15),
        vote("strict", CHAMPION, 1, 20),
        vote("strict", 7, 1, 25),  # of a version that nobody asked about
        vote("strict", CHALLENGER, -1, 20 + 3601),  # too late for the one that waits
        vote("strict", CHAMPION, -1, 20 + 3610),
    ]
    assert online_approval.pair_votes(votes, CHALLENGER, CHAMPION) == [("strict", 1), ("strict", 0), ("strict", 0)]
    assert online_approval.pair_votes(votes, CHAMPION, CHALLENGER) == [("strict", -1), ("strict", 0), ("strict", 0)]


def test_a_pair_stays_the_same_whatever_comes_after_it() -> None:
    random = np.random.default_rng(0)
    votes = [vote(f"r{random.integers(3)}", int(random.integers(3, 5)), 1, 60 * n, int(random.integers(40))) for n in range(60)]
    every = online_approval.pair_votes(votes, CHALLENGER, CHAMPION)
    assert len(every) == 3 * online_approval.MAX_PAIRS
    for number in range(len(votes)):
        some = online_approval.pair_votes(votes[:number], CHALLENGER, CHAMPION)
        assert some == every[: len(some)]


def test_a_rater_counts_for_few_pairs_and_a_sample_for_one() -> None:
    assert (
        online_approval.pair_votes(session("busy", [-1] * 50, [1] * 50), CHALLENGER, CHAMPION)
        == [("busy", 1)] * online_approval.MAX_PAIRS
    )
    same = [vote(rater, version, 1, n, seed=7) for n, rater in enumerate("abc") for version in (CHAMPION, CHALLENGER)]
    assert len(online_approval.pair_votes(same, CHALLENGER, CHAMPION)) == 1


def test_votes_count_once_whether_they_wait_or_are_sealed(stored: Project) -> None:
    add(stored, session("ann", [1, -1], [1, 1]))
    fold(stored)
    add(stored, session("bob", [-1, -1], [1, 1]))
    with EventStore.open(stored.database_url) as store:  # a kill came before its file was written
        assert store.claim("killed")
    add(stored, session("eve", [1], [-1]))
    found = difference(stored)
    assert found is not None
    assert (found.pairs, found.raters, found.difference) == (5, 3, pytest.approx((1 + 2 - 1) / 5))
    assert found.interval == online_approval.anytime_interval([0, 1, 1, 1, -1])


def test_a_clone_without_a_database_goes_by_the_sealed_events(project: Project) -> None:
    add(project, session("ann", [1, -1], [1, 1]))
    fold(project)
    (project.data / "feedback.db").unlink()
    found = difference(project)
    assert found is not None
    assert found.pairs == 2
    assert not (project.data / "feedback.db").exists()
    seal.sealed_files(project.feedback)[0].unlink()
    with pytest.raises(GenloopError, match="missing"):
        difference(project)


def test_without_votes_on_both_there_is_nothing(project: Project) -> None:
    assert difference(project) is None
    add(project, [vote("ann", CHAMPION, 1), vote("bob", CHALLENGER, 1)])
    assert difference(project) is None


def test_what_came_before_both_were_there_or_later_than_asked_does_not_count(project: Project) -> None:
    add(project, session("ann", [-1, 1, 1], [1, -1, -1]))
    found = difference(project, until=START + timedelta(seconds=9))
    assert found is not None
    assert (found.pairs, found.difference) == (1, 1)
    found = difference(project, since=START + timedelta(seconds=6))
    assert found is not None
    assert (found.pairs, found.difference) == (2, -1)


def test_a_robot_does_not_count_and_a_last_word_does(project: Project) -> None:
    honest = session("honest", [1, 1, 1], [1, 1, 1])
    robot = [
        vote("robot", version, 2 * (version == CHALLENGER) - 1, n / 9) for n in range(30) for version in (CHAMPION, CHALLENGER)
    ]
    changed = [vote("undecided", CHAMPION, 1, 0, seed=900), vote("undecided", CHAMPION, -1, 9, seed=900)]
    add(project, [*honest, *robot, *changed, vote("undecided", CHALLENGER, 1, 20)])
    found = difference(project)
    assert found is not None
    assert (found.pairs, found.raters, found.difference) == (4, 2, 0.25)


def test_who_differs_from_the_others_counts_as_they_do() -> None:
    """To set them aside would decide which version is liked by what most people like."""
    liked = {"a": 1, "b": 1, "odd": -1}
    votes = [one for rater, value in liked.items() for one in session(rater, [-1] * 5, [value] * 5)]
    found = online_approval.pair_votes(online_approval.usable_votes(votes), CHALLENGER, CHAMPION)
    assert [sum(gain for rater, gain in found if rater == name) for name in liked] == [5, 5, 0]


def test_tastes_of_few_people_are_not_taken_for_everybody_s() -> None:
    """Each of 200 raters likes one of two equal versions better, by a normal number of deviation 0.3; someone always looks."""
    random = np.random.default_rng(0)
    runs, raters = 1000, 200
    own = np.clip(random.normal(0, 0.3, (runs, raters, 1)), -1, 1)
    liked = random.random((2, runs, raters, online_approval.MAX_PAIRS))
    gains = (liked[0] < 0.5 + own / 2).astype(int) - (liked[1] < 0.5 - own / 2)
    gains = gains.reshape(runs, -1)
    means = np.cumsum(gains, axis=1) / np.arange(1, gains.shape[1] + 1)
    assert (np.abs(means) > half_widths(gains.shape[1])).any(axis=1).mean() <= 0.05


def half_widths(most: int) -> np.ndarray:
    """(most,) of the intervals about 0 for 1, 2, ... values, before they are cut off at 1."""
    return np.array([online_approval.anytime_interval([0.0] * number, reach=1.0).high for number in range(1, most + 1)])


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
    assert online_approval.anytime_interval(gains[:10]).low < 0 < online_approval.anytime_interval(gains).low
    low, high = online_approval.anytime_interval(gains)
    assert low < 0.3 < high
    assert high - low < 0.3


def test_an_interval_stays_within_what_can_be() -> None:
    assert online_approval.anytime_interval([1.0]) == (-1, 1)
    assert online_approval.anytime_interval([1.0] * 1000).high == 1
    with pytest.raises(ValueError, match="one or more"):
        online_approval.anytime_interval([])
    with pytest.raises(ValueError, match="between -1"):
        online_approval.anytime_interval([3.0])
