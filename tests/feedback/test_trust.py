"""Trust, on raters that are made up so that it is known who they are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pipelines.feedback import agreement, trust
from pipelines.feedback.agreement import Votes
from pipelines.feedback.trust import ACCEPTED, REASONS, TrustSettings
from tests.feedback import crowd_references

STORED = json.loads(crowd_references.STORED.read_text())
START = 1_780_000_000.0
HONEST, SPAMMER, ATTACKER = range(3)


def votes_of(*said: tuple[int, int, int, float], imported: bool = False) -> Votes:
    """Each: rater, item, value, seconds after the start."""
    rater, item, value, at = (np.array(part) for part in zip(*said, strict=True)) if said else [np.zeros(0, int)] * 4
    return Votes(rater, item, value.astype(np.int8), START + at, np.full(len(rater), imported))


def crowd(
    seed: int, raters: int = 80, items: int = 600, each: int = 40, pause: float = 0.2, skill: float = 0.9
) -> tuple[Votes, np.ndarray, np.ndarray]:
    """Votes (n,), the kinds of the raters (raters,), and what is right (items,).

    A fifth vote at random, one of twenty votes the opposite of what is right every `pause` seconds. The others are wrong
    one time of ten, and take some seconds for a vote.
    """
    random = np.random.default_rng(seed)
    kinds = np.full(raters, HONEST)
    kinds[: raters // 5], kinds[raters // 5 : raters // 4] = SPAMMER, ATTACKER
    right = np.where(random.random(items) < 0.6, 1, -1)
    said = []
    for rater, kind in enumerate(kinds):
        # Numbers of votes differ much between people.
        shown = random.permutation(items)[: each if kind == ATTACKER else max(1, int(each * random.gamma(1.0)))]
        chance = {HONEST: skill, SPAMMER: 0.5, ATTACKER: 0.0}[int(kind)]
        value = np.where(random.random(len(shown)) < chance, right[shown], -right[shown])
        gaps = np.full(len(shown), pause) if kind == ATTACKER else 1 + random.exponential(3, len(shown))
        said.append((np.full(len(shown), rater), shown, value, START + random.uniform(0, 86_400) + np.cumsum(gaps)))
    rater, item, value, at = (np.concatenate(part) for part in zip(*said, strict=True))
    order = random.permutation(len(rater))
    return Votes(rater[order], item[order], value[order].astype(np.int8), at[order]), kinds, right


def with_copies(votes: Votes, rater: int, number: int, seconds: float) -> Votes:
    """`number` more raters who say what `rater` says, each some seconds after the one before."""
    one = votes[votes.rater == rater]
    more = [
        Votes(np.full(len(one), votes.raters + place), one.item, one.value, one.at + seconds * (place + 1))
        for place in range(number)
    ]
    return joined(votes, *more)


def joined(*some: Votes) -> Votes:
    names = ("rater", "item", "value", "at", "imported")
    return Votes(*(np.concatenate([getattr(votes, name) for votes in some]) for name in names))


def set_aside(found: trust.Trust, reason: str) -> np.ndarray:
    return found.reasons == REASONS.index(reason)


def honest(seed: int, **settings: Any) -> tuple[Votes, np.ndarray]:
    """Only the honest raters of a crowd."""
    votes, kinds, right = crowd(seed, **settings)
    some = votes[kinds[votes.rater] == HONEST]
    return Votes(some.rater - some.rater.min(), some.item, some.value, some.at), right


@pytest.mark.parametrize("rounds", crowd_references.ROUNDS)
@pytest.mark.parametrize("with_gold", [False, True])
def test_without_strength_agreement_equals_crowd_kit_s(rounds: int, with_gold: bool) -> None:
    made, stored = crowd_references.made(), STORED[f"{'gold' if with_gold else 'votes'} {rounds}"]
    votes = Votes(made["rater"], made["item"], made["value"], np.zeros(len(made["rater"])))
    known = np.full(votes.items, np.nan)
    known[:10] = np.arange(10) % 2 if with_gold else np.nan
    found = agreement.fit(votes, votes.raters, votes.items, known, strength=0, steps=rounds, tolerance=-1)
    errors = np.array(stored["errors"])
    assert found.posterior == pytest.approx(stored["posterior"], abs=1e-6)
    assert found.prior == pytest.approx(stored["prior"], abs=1e-6)
    assert found.confusion[errors[:, 0].astype(int), (errors[:, 1] > 0).astype(int)] == pytest.approx(errors[:, 2:], abs=1e-6)


def test_iterations_end_when_nothing_moves_any_more() -> None:
    votes, _, _ = crowd(0)
    near = agreement.fit(votes, votes.raters, votes.items, tolerance=1e-6)
    far = agreement.fit(votes, votes.raters, votes.items, steps=2000, tolerance=0)
    assert near.posterior == pytest.approx(far.posterior, abs=1e-3)


def test_a_rater_with_few_votes_is_like_the_average_rater() -> None:
    votes, _ = honest(0)
    item = int(votes.item[0])
    newcomer = votes_of((votes.raters, item, 1, 0.0), (votes.raters + 1, votes.items, 1, 0.0))
    both = joined(votes, newcomer)
    found = agreement.fit(both, both.raters, both.items)
    average = found.average[0, 0] + found.average[1, 1] - 1
    assert found.informedness[-2] == pytest.approx(average, abs=0.25)
    assert found.informedness[-1] == pytest.approx(average)  # whose only item nobody else has seen
    assert 0.5 < average < 0.9


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("pause", [0.2, 3.0])  # faster than a person judges, and as fast as one
def test_spammers_and_attackers_are_told_from_honest_raters(seed: int, pause: float) -> None:
    votes, kinds, right = crowd(seed, each=50, pause=pause)
    found = trust.weigh_votes(votes)
    kind, lost = kinds[votes.rater], found.reasons != ACCEPTED

    assert lost[kind == ATTACKER].mean() >= 0.9
    assert set_aside(found, "burst")[kind == ATTACKER].mean() >= 0.9
    assert lost[kind == HONEST].mean() <= 0.02
    weight = found.weights[kind == SPAMMER].sum() / found.weights.sum()
    assert weight < 0.1 * (kind == SPAMMER).mean()

    seen = np.bincount(votes.item, minlength=len(right))[: votes.items] > 0
    majority = np.bincount(votes.item, votes.value, votes.items)
    by_majority = np.where(majority == 0, 0.5, (majority > 0) == (right[: votes.items] > 0))[seen].mean()
    by_posterior = ((found.posterior > 0.5) == (right[: votes.items] > 0))[seen].mean()
    assert by_posterior >= by_majority


def test_honest_raters_alone_lose_next_to_nothing() -> None:
    for seed in range(3):
        votes, _ = honest(seed)
        assert (trust.weigh_votes(votes).reasons != ACCEPTED).mean() <= 0.01


def test_only_the_burst_is_set_aside_and_not_the_rater_s_other_votes() -> None:
    slow = [(0, item, 1, 10.0 * item) for item in range(10)]
    fast = [(0, 10 + item, 1, 5000 + 0.3 * item) for item in range(21)]
    found = trust.weigh_votes(votes_of(*slow, *fast))
    assert found.reasons.tolist() == [ACCEPTED] * 10 + [REASONS.index("burst")] * 21
    assert (trust.weigh_votes(votes_of(*slow, *fast[1:])).reasons == ACCEPTED).all()  # as many as may be


@pytest.mark.parametrize("days", [1, 4])
def test_votes_of_files_without_times_are_no_burst_and_no_copies(days: int) -> None:
    """All votes of a file have one timestamp; `days` is the number of files."""
    votes, _ = honest(1, items=80, each=60)
    together = Votes(votes.rater, votes.item, votes.value, 86400.0 * (votes.item % days), np.ones(len(votes), bool))
    assert (trust.weigh_votes(together).reasons != ACCEPTED).mean() <= 0.01
    enemy = [(votes.raters, item, -value, 0.0) for item, value in zip(votes.item[:40], votes.value[:40], strict=True)]
    reasons = trust.weigh_votes(joined(together, votes_of(*enemy, imported=True))).reasons
    assert (reasons[: len(votes)] != ACCEPTED).mean() <= 0.01
    assert (reasons[len(votes) :] != ACCEPTED).all()


def test_a_second_in_which_some_votes_fall_is_part_of_a_burst() -> None:
    """As where a tool gives times in whole seconds: few have one timestamp."""
    found = trust.weigh_votes(votes_of(*((0, item, 1, float(item // 7)) for item in range(42)), imported=True))
    assert (found.reasons == REASONS.index("burst")).all()
    alone = trust.weigh_votes(votes_of(*((0, item, 1, 5.0) for item in range(42)), imported=True))
    assert (alone.reasons == ACCEPTED).all()


@pytest.mark.parametrize("apart", [0.0, 0.001])
def test_a_rater_who_sends_many_votes_with_one_time_is_not_taken_for_a_file(apart: float) -> None:
    """Whoever sends events gives their times: all the same, or in groups that are."""
    found = trust.weigh_votes(votes_of(*((0, item, 1, apart * (item // 8)) for item in range(80))))
    assert (found.reasons == REASONS.index("burst")).all()


def test_a_copier_who_sends_the_very_times_of_another_rater_is_a_copier() -> None:
    votes, _ = honest(1)
    more = with_copies(votes, int(np.bincount(votes.rater).argmax()), 1, seconds=0)
    assert (set_aside(trust.weigh_votes(more), "copy") == (more.rater >= votes.raters)).all()


def test_a_burst_beside_votes_of_a_file_without_times_is_a_burst() -> None:
    file = [(0, item, 1, 1000.0) for item in range(30)]
    fast = [(0, 30 + item, 1, 1001 + 0.3 * item) for item in range(21)]
    votes = joined(votes_of(*file, imported=True), votes_of(*fast))
    assert trust.weigh_votes(votes).reasons.tolist() == [ACCEPTED] * 30 + [REASONS.index("burst")] * 21


def test_a_burst_against_the_others_takes_in_the_votes_that_nobody_can_check() -> None:
    others = [(rater, item, 1, 1e5 * rater + 20.0 * item) for rater in range(4) for item in range(30)]
    attack = [(4, item if item != 5 else 99, -1, 9e5 + 5.0 * item) for item in range(9)]
    later = [(4, item, 1, 9.5e5 + 20.0 * item) for item in range(9, 30)]
    found = trust.weigh_votes(votes_of(*others, *attack, *later))
    assert set_aside(found, "burst").tolist() == [False] * 120 + [True] * 9 + [False] * 21
    assert (found.reasons[129:] == ACCEPTED).all()


@pytest.mark.parametrize("number", [1, 5])
def test_copies_in_step_are_set_aside_and_not_what_they_copy(number: int) -> None:
    votes, _ = honest(1)
    most = int(np.bincount(votes.rater).argmax())
    more = with_copies(votes, most, number, seconds=2)
    assert (set_aside(trust.weigh_votes(more), "copy") == (more.rater >= votes.raters)).all()


def test_a_copy_hours_later_is_known_by_its_errors() -> None:
    votes, _ = honest(2, items=200, each=60, skill=0.8)
    most = int(np.bincount(votes.rater).argmax())
    more = with_copies(votes, most, 1, seconds=9000)
    settings = TrustSettings(copy_reach=40)
    found = set_aside(trust.weigh_votes(more, settings=settings), "copy")
    assert found[more.rater == votes.raters].mean() > 0.9
    assert not found[more.rater < votes.raters].any()


def test_careful_raters_who_agree_on_everything_are_no_copies() -> None:
    votes, _ = honest(3, items=100, each=80, skill=1.0)
    assert not set_aside(trust.weigh_votes(votes), "copy").any()


def test_who_fails_on_gold_is_set_aside() -> None:
    gold = {item: 1 if item % 2 else -1 for item in range(8)}
    wrong = [(0, item, -gold[item], 20.0 * item) for item in gold]
    right = [(1, item, gold[item], 20.0 * item) for item in gold]
    half = [(2, item, gold[item] if item % 4 < 2 else -gold[item], 20.0 * item) for item in gold]
    votes = votes_of(*wrong, *right, *half, (0, 20, 1, 900.0), (1, 20, 1, 900.0))
    found = trust.weigh_votes(votes, gold)
    assert set_aside(found, "gold").tolist() == (votes.rater == 0).tolist()
    assert (found.weights[votes.rater == 1] > 0).all()
    assert found.posterior[:8].tolist() == [float(gold[item] > 0) for item in range(8)]


def test_who_likes_everything_or_contradicts_weighs_nothing() -> None:
    votes, right = honest(4)
    items = np.arange(0, 60)
    times = START + 1e6 + 30.0 * items
    likes = Votes(np.full(60, votes.raters), items, np.ones(60, np.int8), times)
    contradicts = Votes(np.full(60, votes.raters + 1), items, -right[items].astype(np.int8), times + 90 * items)
    more = joined(votes, likes, contradicts)
    found = trust.weigh_votes(more)
    assert (found.weights[more.rater >= votes.raters] == 0).all()
    assert set_aside(found, "at chance")[more.rater >= votes.raters].all()


def test_the_later_of_two_votes_on_one_item_stands() -> None:
    found = trust.weigh_votes(votes_of((0, 0, 1, 50.0), (0, 0, -1, 0.0), (0, 1, 1, 0.0), (0, 1, -1, 0.0)))
    assert found.reasons.tolist() == [ACCEPTED, REASONS.index("replaced"), REASONS.index("replaced"), ACCEPTED]


def test_nobody_has_more_than_a_share_and_no_more_is_taken_than_must_be() -> None:
    random = np.random.default_rng(0)
    for raters in (20, 50, 300):
        rater = np.repeat(np.arange(raters), random.geometric(0.02, raters))
        weights = random.random(len(rater))
        found = trust.cap_shares(weights, rater, 0.1)
        before, after = np.bincount(rater, weights), np.bincount(rater, found)
        capped = after < before * (1 - 1e-12)
        assert after.max() <= 0.1 * after.sum() * (1 + 1e-12)
        assert after[capped] == pytest.approx(np.full(capped.sum(), 0.1 * after.sum()))
    even = np.ones(40)
    assert (trust.cap_shares(even, np.arange(40), 0.1) == 1).all()


def test_with_few_raters_the_share_is_twice_an_equal_part() -> None:
    rater = np.repeat(np.arange(4), [1000, 10, 10, 10])
    after = np.bincount(rater, trust.cap_shares(np.ones(1030), rater, 0.1))
    assert after.tolist() == pytest.approx([30, 10, 10, 10])
    assert trust.cap_shares(np.ones(3), np.zeros(3, int), 0.1).tolist() == [1, 1, 1]


def test_no_votes_make_no_trust() -> None:
    found = trust.weigh_votes(votes_of(), {3: 1})
    assert [len(part) for part in (found.weights, found.reasons, found.reliability, found.posterior)] == [0] * 4


def test_a_single_rater_is_believed_like_anybody() -> None:
    votes = votes_of(*((0, item, 1 if item % 3 else -1, 10.0 * item) for item in range(30)))
    found = trust.weigh_votes(votes)
    assert (found.weights == found.weights[0]).all()
    assert found.weights[0] == pytest.approx(0.6)  # right 4 times of 5
    assert ((found.posterior > 0.5) == (votes.value > 0)).all()


@pytest.mark.parametrize("value", [-1, 1])
def test_raters_who_all_say_the_same_are_believed(value: int) -> None:
    votes = votes_of(*((rater, item, value, 1e4 * rater + 10.0 * item) for rater in range(5) for item in range(15)))
    found = trust.weigh_votes(votes)
    assert (found.reasons == ACCEPTED).all()
    assert (found.weights > 0.5).all()
    assert ((found.posterior > 0.5) == (value > 0)).all()


def test_raters_of_one_vote_each_weigh_alike() -> None:
    apart = trust.weigh_votes(votes_of(*((rater, rater, 1 if rater % 2 else -1, 0.0) for rater in range(50))))
    together = trust.weigh_votes(votes_of(*((rater, rater // 5, 1 if rater % 10 < 5 else -1, 0.0) for rater in range(50))))
    for found in (apart, together):
        assert (found.reasons == ACCEPTED).all()
        assert np.ptp(found.weights) < 0.1


def test_a_tie_leaves_the_item_open() -> None:
    found = trust.weigh_votes(votes_of((0, 0, 1, 0.0), (1, 0, -1, 0.0)))
    assert found.posterior.tolist() == pytest.approx([0.5])
    assert found.weights[0] == pytest.approx(found.weights[1])


def test_the_same_votes_in_any_order_have_the_same_weights() -> None:
    votes, _, _ = crowd(5)
    order = np.random.default_rng(0).permutation(len(votes))
    first, second = trust.weigh_votes(votes), trust.weigh_votes(votes[order])
    assert (trust.weigh_votes(votes).weights == first.weights).all()
    assert second.weights == pytest.approx(first.weights[order], abs=1e-9)
    assert (second.reasons == first.reasons[order]).all()


def test_all_votes_of_an_attacker_are_a_burst() -> None:
    votes, kinds, _ = crowd(6, each=50)
    found = trust.weigh_votes(votes)
    own = votes.rater == int(np.flatnonzero(kinds == ATTACKER)[0])
    assert own.any()
    assert (found.reasons[own] == trust.REASONS.index("burst")).all()


def test_what_is_no_vote_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values \[0, 1\]; expected -1 and 1"):
        votes_of((0, 0, 0, 0.0), (0, 1, 1, 0.0))
    with pytest.raises(ValueError, match="not finite"):
        votes_of((0, 0, 1, np.nan))
    with pytest.raises(ValueError, match="negative"):
        votes_of((0, -1, 1, 0.0))
    with pytest.raises(ValueError, match="as many of each"):
        Votes(np.zeros(1, int), np.zeros(2, int), np.ones(2, np.int8), np.zeros(2))
    with pytest.raises(ValueError, match="gold item 0 has the answer 0; expected -1 or 1"):
        trust.weigh_votes(votes_of((0, 0, 1, 0.0)), {0: 0})


def test_single_votes_do_not_say_that_all_dislikes_are_mistakes() -> None:
    """Four likes of five could be of items that are all liked, by raters who are right four times of five."""
    value = np.where(np.arange(400) % 5 == 0, -1, 1).astype(np.int8)
    votes = Votes(np.arange(400) % 20, np.arange(400), value, np.arange(400.0))
    found = agreement.fit(votes, 20, 400)
    assert found.prior == 0.5
    assert found.posterior == pytest.approx(np.where(value > 0, 0.8, 0.2))
    again = Votes(np.append(votes.rater, 7), np.append(votes.item, 5), np.append(value, -1).astype(np.int8), np.arange(401.0))
    assert agreement.fit(again, 20, 400).prior < 0.5  # the only item that two have voted on is disliked by both
