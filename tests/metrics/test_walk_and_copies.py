"""path_length, memorisation, precision, recall, density and coverage: what each is there to see."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.metrics import density_coverage, fid, memorisation, path_length, precision_recall
from pipelines.metrics.intervals import Estimate, NotEnoughError, NothingToMeasureError
from pipelines.scoring import scores
from tests.metrics.trials import trial

RANDOM = np.random.default_rng(0)
REAL = RANDOM.standard_normal((400, 3))
TRAIN = RANDOM.standard_normal((900, 3))
FRESH = RANDOM.standard_normal((300, 3))


def test_path_length_is_one_for_paths_straight_from_one_real_image_to_another() -> None:
    ends = RANDOM.standard_normal((2, 5000, 3))
    steps = (0.3 * ends[0] + 0.7 * ends[1], 0.2 * ends[0] + 0.8 * ends[1])  # 0.1 further, as `trial` says
    assert path_length.score(trial(FRESH, REAL, steps=steps))["path_length"].value == pytest.approx(1, rel=0.1)
    still = path_length.score(trial(FRESH, REAL, steps=(steps[0], steps[0])))["path_length"]
    assert still.value == 0


def test_jumps_make_paths_longer() -> None:
    ends = RANDOM.standard_normal((2, 2000, 3))
    jumps = np.where(RANDOM.random((2000, 1)) < 0.1, ends[1], ends[0])  # all of the way in a tenth of the steps
    assert path_length.score(trial(FRESH, REAL, steps=(ends[0], jumps)))["path_length"].interval.low > 5


def test_without_a_model_to_walk_through_there_is_no_path_length() -> None:
    assert path_length.score(trial(FRESH, REAL)) == {}
    with pytest.raises(NotEnoughError, match="path_length needs 50 paths"):
        path_length.score(trial(FRESH, REAL, steps=(FRESH[:9], FRESH[:9])))


def test_memorisation_tells_copies_from_fresh_images() -> None:
    def score(drawn: np.ndarray) -> Estimate:
        return memorisation.score(trial(drawn, REAL, train=TRAIN))["memorisation"]

    assert score(FRESH).interval.low < 0.5 < score(FRESH).interval.high
    assert score(TRAIN + 0.001).value == pytest.approx(0.5 + 400 / 900 / 2, abs=0.05)  # 400 of 900 are compared
    assert score(TRAIN + 0.001).interval.low > 0.5
    assert score(REAL + 0.001).value == 0
    assert score(REAL + 0.001).interval.high > 0


@pytest.mark.slow
def test_memorisation_of_an_ideal_model_is_a_half_as_often_as_the_interval_says() -> None:
    held = 0
    for seed in range(100):
        rows = np.random.default_rng(seed).standard_normal((900, 3))
        low, high = memorisation.score(trial(rows[:500], rows[500:700], train=rows[700:]))["memorisation"].interval
        held += low <= 0.5 <= high
    assert held >= 88


def test_memorisation_goes_by_rows_that_the_extractor_has_not_learned_from() -> None:
    train, learned = np.concatenate([TRAIN[:400], FRESH[:150] + 0.001]), np.arange(550) >= 400
    low, high = memorisation.score(trial(FRESH, REAL, train=train, learned=learned))["memorisation"].interval
    assert low < 0.5 < high, "of its own, the extractor sees the generated images as copies"


def test_a_copier_is_seen_though_only_a_part_of_its_rows_is_compared() -> None:
    learned = np.arange(len(TRAIN)) >= 300
    found = memorisation.score(trial(TRAIN + 0.001, REAL, train=TRAIN, learned=learned))["memorisation"]
    assert found.value > 0.95
    assert found.interval.low > 0.9


def test_a_model_that_generates_one_training_row_again_and_again_is_not_let_off() -> None:
    with pytest.raises(NotEnoughError) as caught:
        memorisation.score(trial(np.repeat(TRAIN[:1], 300, axis=0), REAL, train=TRAIN))
    assert not isinstance(caught.value, NothingToMeasureError)


def test_images_that_are_all_near_the_same_few_rows_tell_nothing_of_copies() -> None:
    noise = 100 + 0.1 * RANDOM.standard_normal((300, 3))
    with pytest.raises(NothingToMeasureError, match="nearest to 50 different real rows or more; these are nearest to about"):
        memorisation.score(trial(noise, REAL, train=TRAIN))


def test_memorisation_needs_training_rows() -> None:
    assert memorisation.score(trial(FRESH, REAL)) == {}
    with pytest.raises(NotEnoughError, match="memorisation needs 50"):
        memorisation.score(trial(FRESH, REAL, train=TRAIN[:20]))
    with pytest.raises(NotEnoughError, match="training rows that the extractor has not learned from"):
        memorisation.score(trial(FRESH, REAL, train=TRAIN, learned=np.ones(len(TRAIN), bool)))


@pytest.mark.slow
@pytest.mark.parametrize(("generated", "unseen"), [(900, 100), (300, 900), (200, 0)])
def test_an_ideal_model_gets_what_is_called_ideal(generated: int, unseen: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {}
    for seed in range(12):
        rows = np.random.default_rng(seed).standard_normal((generated + unseen + 400, 3))
        fresh, train, real = np.split(rows, [generated, generated + unseen])
        comparison = trial(fresh, real, train=train if unseen else None)
        for name, estimate in (precision_recall.score(comparison) | density_coverage.score(comparison)).items():
            assert estimate.ideal is not None
            found.setdefault(name, []).append((estimate.value, estimate.ideal))
    assert set(found) == {"precision", "recall", "density", "coverage"}
    for name, pairs in found.items():
        value, ideal = np.mean(pairs, axis=0)
        assert ideal == pytest.approx(value, abs=0.03), name


def test_too_few_real_rows_tell_no_ideal() -> None:
    found = precision_recall.score(trial(FRESH, REAL[:80]))
    assert found["precision"].ideal is found["recall"].ideal is None


def test_constant_images_yield_scores_or_none_but_no_error() -> None:
    constant = np.zeros((200, 3))
    comparison = trial(constant, constant, train=constant)
    assert fid.score(comparison)["fid"].interval == (0, 0)
    assert precision_recall.score(comparison)["precision"].value == 1
    with pytest.raises(NotEnoughError):
        memorisation.score(comparison)


def test_a_collapsed_model_is_precise_and_covers_nothing() -> None:
    collapsed = REAL[:1] + 0.001 * RANDOM.standard_normal((300, 3))
    found = trial(collapsed, REAL)
    scores = precision_recall.score(found) | density_coverage.score(found)
    assert scores["precision"].value > 0.9
    assert scores["recall"].value < 0.1
    assert scores["coverage"].value < 0.1


def test_a_model_that_draws_far_off_is_not_precise() -> None:
    found = trial(FRESH + 10, REAL)
    scores = precision_recall.score(found) | density_coverage.score(found)
    assert {name: score.value for name, score in scores.items()} == dict.fromkeys(
        ("precision", "recall", "density", "coverage"), 0.0
    )


def test_real_images_have_a_density_of_one() -> None:
    found = density_coverage.score(trial(FRESH, REAL))["density"]
    assert found.interval.low < 1 < found.interval.high


def test_a_handful_of_rows_is_not_enough() -> None:
    for metric in (precision_recall, density_coverage):
        with pytest.raises(NotEnoughError, match="need 50"):
            metric.score(trial(FRESH[:49], REAL))


def test_no_score_depends_on_the_order_of_rows() -> None:
    random = np.random.default_rng(4)
    labels = np.arange(300) % 3
    probabilities = random.dirichlet([0.3, 0.3, 0.3], 300)
    ways = []
    for order in (np.arange(300), random.permutation(300)):
        mixed = trial(
            FRESH[order],
            REAL[::-1] if ways else REAL,
            train=TRAIN[:400],
            probabilities=probabilities[order],
            labels=labels[order],
            classes=["a", "b", "c"],
        )
        names = ("fid", "kid", "inception_score", "precision_recall", "density_coverage", "memorisation", "class_accuracy")
        ways.append(scores.measure(mixed, names))
    for name, estimate in ways[0].values.items():
        if name != "fid_floor":  # it divides the rows at random
            assert ways[1].values[name].value == pytest.approx(estimate.value, rel=1e-6), name
    assert len(ways[0].values) == 10
