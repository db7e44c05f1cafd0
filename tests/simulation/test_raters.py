"""Simulated raters: how they vote, and when."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime

import numpy as np
import pytest

from pipelines.feedback import events, trust
from pipelines.feedback.agreement import Votes
from pipelines.feedback.events import Event, Sample, Vote
from pipelines.simulation import raters
from pipelines.simulation.settings import Simulation, load

LIKED = np.arange(500) % 3 > 0
SAMPLES = [Sample(version=1, seed=seed, label=seed % 10) for seed in range(500)]


def votes_of(*changes: str, turn: int = 1) -> list[Vote]:
    return [event for event in raters.vote(load(None, changes), turn, SAMPLES, LIKED) if isinstance(event, Vote)]


def accuracy(votes: list[Vote], kind: str) -> float:
    """Share of the votes of raters of a kind that are as the taste is."""
    own = [(vote.value > 0) == LIKED[vote.sample.seed] for vote in votes if raters.kind_of(vote.rater) == kind]
    return float(np.mean(own))


def judge(votes: list[Vote]) -> tuple[Votes, trust.Trust]:
    """As `curate` does it."""
    names = sorted({vote.rater for vote in votes})
    found = Votes(
        np.array([names.index(vote.rater) for vote in votes]),
        np.array([vote.sample.seed for vote in votes]),
        np.array([vote.value for vote in votes]),
        np.array([vote.at.timestamp() for vote in votes]),
    )
    return found, trust.weigh_votes(found)


def test_a_seed_decides_all_votes() -> None:
    assert votes_of("attackers=0.1", "spammers=0.1") == votes_of("attackers=0.1", "spammers=0.1")
    assert votes_of() != votes_of("seed=1")
    assert votes_of() != votes_of(turn=2)


def test_votes_are_shared_out_evenly() -> None:
    votes = votes_of("votes=1999", "raters=37")
    assert len(votes) == 1999
    assert len({vote.id for vote in votes}) == 1999
    assert set(Counter(vote.rater for vote in votes).values()) == {54, 55}
    assert set(Counter(vote.sample.seed for vote in votes).values()) == {3, 4}
    assert len({(vote.rater, vote.sample.seed) for vote in votes}) == 1999


def test_events_are_ones_that_the_store_takes() -> None:
    settings = load(None, ["reports=5", "uploads=2", "attackers=0.1"])
    some: list[Event] = [
        *raters.vote(settings, 1, SAMPLES, LIKED),
        *raters.report(settings, 1, SAMPLES, LIKED),
        *raters.upload(settings, 1, ["0" * 64, "1" * 64], [3, None]),
    ]
    assert Counter(event.type for event in some) == {"vote": 2000, "report": 5, "upload": 2}
    assert len({event.id for event in some}) == len(some)
    for event in some:
        assert events.load(events.to_json(event)) == event
        assert events.EARLIEST < event.at < datetime.now(UTC)


def test_each_kind_votes_in_its_own_way() -> None:
    votes = votes_of("votes=4000", "votes_per_sample=8", "spammers=0.25", "attackers=0.1", "noise=0.2")
    assert accuracy(votes, "honest") == pytest.approx(0.8, abs=0.03)
    assert accuracy(votes, "spammer") == pytest.approx(0.5, abs=0.06)
    assert accuracy(votes, "attacker") == 0
    assert Counter(raters.kind_of(rater) for rater in raters.crowd(load(None, ["spammers=0.25", "attackers=0.1"]))) == {
        "honest": 26,
        "spammer": 10,
        "attacker": 4,
    }
    assert len(raters.crowd(load(None, ["attackers=0.001"]))) == 40


def test_people_take_their_time_and_attackers_do_not() -> None:
    gaps = defaultdict(list)
    days = defaultdict(set)
    by_rater: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes_of("attackers=0.1"):
        by_rater[vote.rater].append(vote)
    for rater, votes in by_rater.items():
        seconds = np.diff([vote.at.timestamp() for vote in votes])
        assert (seconds > 0).all()
        gaps[raters.kind_of(rater)] += seconds[seconds < 3600].tolist()
        days[raters.kind_of(rater)].add(len({vote.at.date() for vote in votes}))
    assert 2 <= min(gaps["honest"]) <= max(gaps["honest"]) <= 6
    assert 0.5 <= min(gaps["attacker"]) <= max(gaps["attacker"]) <= 2
    assert max(days["honest"]) == 3
    assert days["attacker"] == {1}


def test_a_later_turn_is_a_later_week() -> None:
    first, second = votes_of(turn=1), votes_of(turn=2)
    assert max(vote.at for vote in first) < min(vote.at for vote in second)


def test_shuffled_votes_agree_with_each_other_and_not_with_the_taste() -> None:
    votes = votes_of("shuffled=true", "noise=0")
    by_sample = defaultdict(set)
    for vote in votes:
        by_sample[vote.sample.seed].add(vote.value)
    assert all(len(values) == 1 for values in by_sample.values())
    liked = np.array([by_sample[seed] == {1} for seed in range(500)])
    assert liked.sum() == LIKED.sum()
    assert (liked == LIKED).mean() == pytest.approx(5 / 9, abs=0.06)


def test_reports_are_of_what_the_taste_dislikes() -> None:
    found = raters.report(load(None, ["reports=20", "attackers=0.5"]), 1, SAMPLES, LIKED)
    assert len({event.sample.seed for event in found}) == 20  # type: ignore[union-attr]
    assert not LIKED[[event.sample.seed for event in found]].any()  # type: ignore[union-attr]
    assert {raters.kind_of(event.rater) for event in found} == {"honest"}


def test_trust_sees_through_the_attackers_and_leaves_honest_raters_alone() -> None:
    votes = votes_of("attackers=0.05", "spammers=0.2")
    _, found = judge(votes)
    kinds = np.array([raters.kind_of(vote.rater) for vote in votes])
    rejected = found.reasons != trust.ACCEPTED
    assert rejected[kinds == "attacker"].mean() >= 0.9
    assert rejected[kinds == "honest"].mean() <= 0.02


def test_settings_are_the_same_whoever_reads_them() -> None:
    assert Simulation.model_validate(load(None).model_dump()) == load(None)
