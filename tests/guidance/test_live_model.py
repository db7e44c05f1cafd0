"""The live model learns at each vote, stays near to what it would learn anew, and lets nobody in whom the stage would not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.special import expit

from pipelines.feedback.events import Choice, Event, Sample, Vote
from pipelines.guidance import live_model, personal
from pipelines.guidance.live_model import LiveModel, identity
from pipelines.preference.fit import Spread

WIDTH, BEGIN = 6, datetime(2026, 1, 31, tzinfo=UTC)
DIRECTION = np.array([2.0, -1.0, 0.5, 0.0, 0.0, 0.0])


def views(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def samples(count: int, first: int = 0) -> list[Sample]:
    return [Sample(version=1, seed=first + number) for number in range(count)]


def live(count: int = 2_000) -> LiveModel:
    """With `count` samples that can be judged."""
    spread = Spread(np.zeros(WIDTH), np.ones(WIDTH), np.ones(WIDTH))
    found = LiveModel(spread, spread, "id", [], 0.1)
    found.remember(samples(count), views(count), views(count))
    return found


def vote(number: int, liked: bool, rater: str = "", first: int = 0) -> Vote:
    at = BEGIN + timedelta(seconds=5 * number)
    sample = Sample(version=1, seed=first + number)
    return Vote(
        id=f"{rater}e{first + number}",
        type="vote",
        rater=rater or f"r{number % 12}",
        at=at,
        sample=sample,
        value=1 if liked else -1,
    )


def votes(count: int, direction: np.ndarray = DIRECTION, rater: str = "", first: int = 0) -> list[Event]:
    chances = expit(views(2_000)[first : first + count] @ direction)
    liked = np.random.default_rng([first, 7]).random(count) < chances
    return [vote(number, bool(value), rater, first) for number, value in enumerate(liked)]


def test_before_enough_is_known_it_says_how_much_is_lacking() -> None:
    found = live()
    assert (found.model, found.learned.missing, found.learned.why) == (None, 100, "no votes yet")
    found.add(votes(40))
    assert (found.model, found.learned.missing) == (None, 60)
    assert found.learned.why == "40 votes; it takes 100 credible judgements"


def test_it_knows_at_the_very_vote_that_is_enough() -> None:
    found, said = live(), votes(200)
    for event in said[:99]:
        found.add([event])
    assert found.model is None
    found.add(said[99:100])
    assert found.model is not None
    assert found.learned.judgements == 100


def test_votes_by_chance_are_not_taken_for_a_taste() -> None:
    found = live()
    found.add(votes(400, np.zeros(WIDTH)))
    assert found.model is None
    assert found.learned.why == "400 judgements agree on nothing that images have in common"
    assert 0 < found.learned.missing <= 4_000


def test_a_vote_moves_it_as_learning_anew_would() -> None:
    found, said = live(), votes(640)
    found.add(said[:600])
    before, full = found.model, found.learned.judgements
    for event in said[600:625]:
        found.add([event])
    assert found.learned.judgements == full  # no full fit since
    moved, fresh = found.model, views(500, seed=5)
    found.learn()
    assert before is not None
    assert moved is not None
    assert found.model is not None
    assert len({identity(model) for model in (before, moved, found.model)}) == 3
    assert np.abs(moved.predict(fresh) - found.model.predict(fresh)).mean() < 0.02
    shift = [model.predict(fresh) - before.predict(fresh) for model in (moved, found.model)]
    assert np.corrcoef(*shift)[0, 1] > 0.5  # into the same direction


def test_everything_is_learned_anew_when_a_twentieth_more_has_come() -> None:
    found, said = live(), votes(700)
    found.add(said[:600])
    for event in said[600:631]:
        found.add([event])
    assert found.learned.judgements == 631


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_model, "MOST", 300)
    found, said = live(), votes(700)
    found.add(said)
    assert sorted(found.events) == sorted(event.id for event in said[-300:])
    assert len(found.seen) == 2_000 - 400
    assert found.model is not None
    found.add([votes(1, first=900)[0]])
    assert len(found.events) == 301


def test_what_is_withdrawn_is_unlearned() -> None:
    found, said = live(), votes(640)
    found.add(said[:600])
    before, fresh = found.model, views(200, seed=5)
    for event in said[600:620]:
        found.add([event])
    for event in said[600:620]:
        found.withdraw(event.id)
    assert before is not None
    assert found.model is not None
    np.testing.assert_allclose(found.model.predict(fresh), before.predict(fresh), atol=1e-6)
    found.withdraw(said[0].id)  # which the full fit has learned from: few enough to learn all anew
    assert found.learned.judgements == 599
    alone = live()
    alone.add(said[:1])
    alone.withdraw(said[0].id)
    assert alone.learned.why == "no votes yet"


def test_the_same_event_counts_once_and_one_of_an_unknown_sample_not_at_all() -> None:
    found, said = live(), votes(300)
    found.add(said)
    found.add(said)
    found.add([vote(9_999, True)])
    assert len(found.events) == 300


def test_one_rater_moves_it_by_a_tenth_of_all_weight_at_most() -> None:
    found, enemy = live(), votes(100, -10 * DIRECTION, rater="eve", first=1_000)
    found.add(votes(1_000))
    fresh = views(500, seed=5)
    assert found.model is not None
    before = found.model.predict(fresh)
    for event in enemy[:49]:
        found.add([event])
    assert found.learned.judgements == 1_000
    moved = np.abs(found.model.predict(fresh) - before).mean()
    assert 0 < moved < 0.06


def test_choices_are_learned_from_too() -> None:
    found, seen = live(), views(2_000) @ DIRECTION
    said: list[Event] = []
    for number in range(400):
        pair = sorted((2 * number, 2 * number + 1), key=lambda place: -seen[place])
        winner, loser = (Sample(version=1, seed=place) for place in pair)
        at = BEGIN + timedelta(seconds=5 * number)
        said.append(Choice(id=f"c{number}", type="choice", rater=f"r{number % 12}", at=at, winner=winner, loser=loser))
    found.add(said)
    assert found.model is not None
    fresh = views(500, seed=5)
    assert np.corrcoef(found.model.predict(fresh), expit(fresh @ DIRECTION))[0, 1] > 0.9
    found.add([vote(1_500, True)])  # and a vote after choices alone
    assert found.model is not None


def test_who_is_forgotten_has_no_part_in_it() -> None:
    found, other = live(), live()
    found.add([*votes(300), *votes(100, rater="ann", first=1_000)])
    found.forget("ann")
    other.add(votes(300))
    other.learn()
    assert found.model is not None
    assert other.model is not None
    assert identity(found.model) == identity(other.model)


@pytest.fixture(scope="module")
def everybody() -> LiveModel:
    found = live()
    found.add(votes(800))
    return found


def distance(found: LiveModel, own: Sequence[Event]) -> float:
    fitted = personal.fit(found, own)  # type: ignore[arg-type]
    assert fitted is not None
    assert found.model is not None
    fresh = views(500, seed=5)
    return float(np.abs(fitted.model.predict(fresh) - found.model.predict(fresh)).mean())


def test_five_votes_of_another_taste_move_it_a_little_and_fifty_a_lot(everybody: LiveModel) -> None:
    five, fifty = (distance(everybody, votes(count, -DIRECTION, rater="ann", first=900)) for count in (5, 50))
    assert 0 < five < 0.5 * fifty
    assert fifty > 0.15


def test_who_agrees_with_everybody_gets_everybody_s_taste(everybody: LiveModel) -> None:
    assert distance(everybody, votes(50, rater="ann", first=900)) < 0.06
    assert personal.fit(everybody, []) is None


def test_a_vote_moves_the_last_fit_of_a_rater_to_where_a_fresh_one_is(everybody: LiveModel) -> None:
    own = votes(53, -DIRECTION, rater="ann", first=900)
    fifty, fresh = (personal.fit(everybody, own[:count]) for count in (50, 53))  # type: ignore[arg-type]
    moved = personal.fit(everybody, own, fifty)  # type: ignore[arg-type]
    assert fifty is not None
    assert fresh is not None
    assert moved is not None
    assert (moved.strength, moved.judgements) == (fifty.strength, 50)
    assert fresh.strength == fifty.strength
    np.testing.assert_allclose(moved.theta, fresh.theta, atol=1e-3)
    assert not np.allclose(moved.theta, fifty.theta, atol=1e-2)


def test_how_far_a_taste_may_be_another_is_decided_again_with_a_tenth_more_votes(everybody: LiveModel) -> None:
    few = personal.fit(everybody, votes(10, rater="ann", first=900))  # type: ignore[arg-type]
    own = [*votes(10, rater="ann", first=900), *votes(60, -DIRECTION, rater="ann", first=920)]
    many = personal.fit(everybody, own, few)  # type: ignore[arg-type]
    assert many is not None
    assert many.judgements == 70
    assert many.strength is not None


def test_without_a_taste_of_everybody_there_is_none_of_one() -> None:
    assert personal.fit(live(), []) is None
