"""Who is believed: votes and choices with their weights, experts, and those who are set aside."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from pipelines.feedback.events import Sample
from tests.curation.data import Project, raters, table
from tests.curation.sealed import BEGIN

GOOD = tuple(f"good{number}" for number in range(6))


def crowd(there: Project, count: int = 40) -> list[tuple[Sample, int]]:
    """Samples that are right to like by turns, and what good raters say of them: one error in ten."""
    random = np.random.default_rng(0)
    found = [(there.said.sample(image), 1 - 2 * (place % 2)) for place, image in enumerate(there.new(count))]
    for rater in GOOD:
        for (sample, right), wrong in zip(found, random.random(count) < 0.1, strict=True):
            there.said.vote(rater, sample, -right if wrong else right)
    return found


def test_spammers_are_set_aside_with_the_reason(there: Project) -> None:
    samples = crowd(there)
    random = np.random.default_rng(1)
    for sample, _ in samples:
        there.said.vote("coin", sample, int(random.choice([-1, 1])))
        there.said.vote("enemy", sample, -1)
    for place, (sample, right) in enumerate(samples):
        there.said.vote("bot", sample, right, BEGIN + timedelta(days=9, seconds=place / 10))
    there.said.vote("good0", samples[0][0], 1)
    report = there.curate()
    told = raters()
    assert told["coin"]["set_aside"] == "at chance: 40"
    assert told["enemy"]["set_aside"] == "at chance: 40"
    assert told["bot"]["set_aside"] == "burst: 40"
    assert told["good0"]["set_aside"] == "replaced: 1"
    assert [float(told[rater]["weight"]) for rater in ("coin", "enemy", "bot")] == [0, 0, 0]
    assert [float(told[rater]["reliability"]) for rater in ("coin", "enemy", "bot")] == [0, 0, 0]
    assert sum(float(told[rater]["weight"]) for rater in GOOD) == pytest.approx(1, abs=1e-4)
    assert (report["votes"], report["votes_set_aside"]) == (40 * 9 + 1, 121)
    assert len(table("votes")) == 240


def test_experts_are_believed_against_all_others(there: Project) -> None:
    samples = crowd(there)
    for sample, right in samples:
        there.said.vote("boss", sample, -right)
    there.curate({"feedback.experts": ["boss"]})
    liked = {row["seed"]: row["liked"] for row in table("samples")}
    assert [liked[sample.seed] for sample, _ in samples] == [float(right < 0) for _, right in samples]
    told = raters()
    assert (told["boss"]["reliability"], told["boss"]["set_aside"]) == ("1.0", "")
    assert {told[rater]["set_aside"] for rater in GOOD} == {"gold: 40"}


def test_experts_who_differ_leave_it_to_the_others(there: Project) -> None:
    samples = crowd(there)
    first, right = samples[0]
    there.said.vote("boss", first, 1)
    there.said.vote("chief", first, -1)
    alone = there.said.sample(there.new(1)[0])
    there.said.vote("boss", alone, 1)
    there.said.vote("chief", alone, -1)
    there.curate({"feedback.experts": ["boss", "chief"]})
    liked = {row["seed"]: row["liked"] for row in table("samples")}
    assert liked[first.seed] > 0.9
    assert right == 1
    assert liked[alone.seed] == 0.5


def test_votes_and_choices_of_one_rater_have_a_bounded_share_of_the_weight(there: Project) -> None:
    samples = crowd(there, 20)
    more = [there.said.sample(image) for image in there.new(60)]
    for one in range(0, 60, 2):
        there.said.vote("good0", more[one], 1)
        there.said.choose("good0", more[one], more[one + 1])
    for rater in GOOD:
        there.said.choose(rater, samples[0][0], samples[1][0])
    there.curate({"feedback.max_rater_share": 0.4})
    for name in ("votes", "choices"):
        weights: dict[str, float] = {}
        rater_of = {event.id: event.rater for event in there.said.events}
        for row in table(name):
            weights[rater_of[row["event"]]] = weights.get(rater_of[row["event"]], 0) + row["weight"]
        assert weights["good0"] / sum(weights.values()) <= 0.4 + 1e-6, name
    assert float(raters()["good0"]["weight"]) <= 0.4 + 1e-6


def test_the_last_choice_between_two_stands(there: Project) -> None:
    a, b, c = (there.said.sample(image) for image in there.new(3))
    there.said.choose("ann", a, b)
    last = there.said.choose("ann", b, a)
    other = there.said.choose("ann", a, c)
    there.said.choose("bob", a, there.said.sample(None))
    report = there.curate()
    rows = table("samples")
    chosen = [(rows[row["winner"]]["seed"], rows[row["loser"]]["seed"], row["event"]) for row in table("choices")]
    assert chosen == [(b.seed, a.seed, last), (a.seed, c.seed, other)]
    assert [row["liked"] for row in rows] == [0.5] * 3
    assert (report["choices"], report["samples"]) == (4, 3)
    assert raters()["ann"]["set_aside"] == "choice, replaced: 1"
    assert raters()["bob"]["set_aside"] == "choice, no picture: 1"


def test_choices_weigh_as_much_as_their_rater_is_believed(there: Project) -> None:
    samples = crowd(there)
    random = np.random.default_rng(1)
    for sample, _ in samples:
        there.said.vote("coin", sample, int(random.choice([-1, 1])))
    chosen = {rater: there.said.choose(rater, samples[0][0], samples[1][0]) for rater in ("good0", "good1", "coin", "new")}
    there.curate({"feedback.max_rater_share": 1.0})
    weights = {row["event"]: row["weight"] for row in table("choices")}
    told = raters()
    assert chosen["coin"] not in weights
    assert told["coin"]["set_aside"] == "at chance: 40; choice, rater not believed: 1"
    for rater in ("good0", "good1", "new"):
        assert weights[chosen[rater]] == pytest.approx(float(told[rater]["reliability"]), abs=1e-4)
    assert float(told["new"]["reliability"]) == pytest.approx(np.mean([float(told[r]["reliability"]) for r in GOOD]), abs=1e-4)
