"""Which raters are credible: votes and choices with their weights, experts, and votes that are rejected."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from pipelines.feedback.events import Sample
from tests.curation.data import Curation
from tests.curation.sealed import BEGIN

GOOD = tuple(f"good{number}" for number in range(6))


def crowd(curation: Curation, count: int = 40) -> list[tuple[Sample, int]]:
    """Samples that are right to like by turns, and what good raters say of them: one error in ten."""
    random = np.random.default_rng(0)
    found = [(curation.feedback.sample(image), 1 - 2 * (place % 2)) for place, image in enumerate(curation.new(count))]
    for rater in GOOD:
        for (sample, right), wrong in zip(found, random.random(count) < 0.1, strict=True):
            curation.feedback.vote(rater, sample, -right if wrong else right)
    return found


def spam(curation: Curation) -> None:
    """One who votes at random among those who do not."""
    random = np.random.default_rng(1)
    for sample, _ in crowd(curation):
        curation.feedback.vote("coin", sample, int(random.choice([-1, 1])))


def test_spammers_are_rejected_with_the_reason(curation: Curation) -> None:
    samples = crowd(curation)
    random = np.random.default_rng(1)
    for sample, _ in samples:
        curation.feedback.vote("coin", sample, int(random.choice([-1, 1])))
        curation.feedback.vote("enemy", sample, -1)
    for place, (sample, right) in enumerate(samples):
        curation.feedback.vote("bot", sample, right, BEGIN + timedelta(days=9, seconds=place / 10))
    curation.feedback.vote("good0", samples[0][0], 1)
    report = curation.curate()
    raters = curation.raters()
    assert raters["coin"]["set_aside"] == "at chance: 40"
    assert raters["enemy"]["set_aside"] == "at chance: 40"
    assert raters["bot"]["set_aside"] == "burst: 40"
    assert raters["good0"]["set_aside"] == "replaced: 1"
    assert [float(raters[rater]["weight"]) for rater in ("coin", "enemy", "bot")] == [0, 0, 0]
    assert [float(raters[rater]["reliability"]) for rater in ("coin", "enemy", "bot")] == [0, 0, 0]
    assert sum(float(raters[rater]["weight"]) for rater in GOOD) == pytest.approx(1, abs=1e-4)
    assert (report["votes"], report["votes_set_aside"]) == (40 * 9 + 1, 121)
    assert len(curation.table("votes")) == 240


def test_experts_are_believed_against_all_others(curation: Curation) -> None:
    samples = crowd(curation)
    for sample, right in samples:
        curation.feedback.vote("boss", sample, -right)
    curation.curate({"feedback.experts": ["boss"]})
    liked = {row["seed"]: row["liked"] for row in curation.table("samples")}
    assert [liked[sample.seed] for sample, _ in samples] == [float(right < 0) for _, right in samples]
    raters = curation.raters()
    assert (raters["boss"]["reliability"], raters["boss"]["set_aside"]) == ("1.0", "")
    assert {raters[rater]["set_aside"] for rater in GOOD} == {"gold: 40"}


def test_experts_who_differ_leave_it_to_the_others(curation: Curation) -> None:
    samples = crowd(curation)
    first, right = samples[0]
    curation.feedback.vote("boss", first, 1)
    curation.feedback.vote("chief", first, -1)
    alone = curation.feedback.sample(curation.new(1)[0])
    curation.feedback.vote("boss", alone, 1)
    curation.feedback.vote("chief", alone, -1)
    curation.curate({"feedback.experts": ["boss", "chief"]})
    liked = {row["seed"]: row["liked"] for row in curation.table("samples")}
    assert liked[first.seed] > 0.9
    assert right == 1
    assert liked[alone.seed] == 0.5


def test_votes_and_choices_of_one_rater_have_a_bounded_share_of_the_weight(curation: Curation) -> None:
    samples = crowd(curation, 20)
    more = [curation.feedback.sample(image) for image in curation.new(60)]
    for one in range(0, 60, 2):
        curation.feedback.vote("good0", more[one], 1)
        curation.feedback.choose("good0", more[one], more[one + 1])
    for rater in GOOD:
        curation.feedback.choose(rater, samples[0][0], samples[1][0])
    curation.curate({"feedback.max_rater_share": 0.4})
    for name in ("votes", "choices"):
        weights: dict[str, float] = {}
        rater_of = {event.id: event.rater for event in curation.feedback.events}
        for row in curation.table(name):
            weights[rater_of[row["event"]]] = weights.get(rater_of[row["event"]], 0) + row["weight"]
        assert weights["good0"] / sum(weights.values()) <= 0.4 + 1e-6, name
    assert float(curation.raters()["good0"]["weight"]) <= 0.4 + 1e-6


def test_the_last_choice_between_two_stands(curation: Curation) -> None:
    a, b, c = (curation.feedback.sample(image) for image in curation.new(3))
    curation.feedback.choose("ann", a, b)
    last = curation.feedback.choose("ann", b, a)
    other = curation.feedback.choose("ann", a, c)
    curation.feedback.choose("bob", a, curation.feedback.sample(None))
    report = curation.curate()
    rows = curation.table("samples")
    chosen = [(rows[row["winner"]]["seed"], rows[row["loser"]]["seed"], row["event"]) for row in curation.table("choices")]
    assert chosen == [(b.seed, a.seed, last), (a.seed, c.seed, other)]
    assert [row["liked"] for row in rows] == [0.5] * 3
    assert (report["choices"], report["samples"]) == (4, 3)
    assert curation.raters()["ann"]["set_aside"] == "choice, replaced: 1"
    assert curation.raters()["bob"]["set_aside"] == "choice, no picture: 1"


def test_choices_weigh_as_much_as_their_rater_is_believed(curation: Curation) -> None:
    samples = crowd(curation)
    random = np.random.default_rng(1)
    for sample, _ in samples:
        curation.feedback.vote("coin", sample, int(random.choice([-1, 1])))
    chosen = {
        rater: curation.feedback.choose(rater, samples[0][0], samples[1][0]) for rater in ("good0", "good1", "coin", "new")
    }
    curation.curate({"feedback.max_rater_share": 1.0})
    weights = {row["event"]: row["weight"] for row in curation.table("choices")}
    raters = curation.raters()
    assert chosen["coin"] not in weights
    assert raters["coin"]["set_aside"] == "at chance: 40; choice, rater not credible: 1"
    for rater in ("good0", "good1", "new"):
        assert weights[chosen[rater]] == pytest.approx(float(raters[rater]["reliability"]), abs=1e-4)
    assert float(raters["new"]["reliability"]) == pytest.approx(
        np.mean([float(raters[r]["reliability"]) for r in GOOD]), abs=1e-4
    )
