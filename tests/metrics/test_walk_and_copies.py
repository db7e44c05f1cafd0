"""path_length, memorisation, precision, recall, density and coverage: what each is there to see."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.metrics import density_coverage, memorisation, path_length, precision_recall
from pipelines.metrics.intervals import NotEnoughError
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
    def score(drawn: np.ndarray) -> float:
        return memorisation.score(trial(drawn, REAL, train=TRAIN))["memorisation"].value

    assert score(FRESH) == pytest.approx(0.5, abs=0.1)
    assert score(TRAIN[:400] + 0.001) > 0.95
    assert score(REAL[:300] + 0.001) < 0.05


def test_memorisation_needs_training_rows() -> None:
    assert memorisation.score(trial(FRESH, REAL)) == {}
    with pytest.raises(NotEnoughError, match="memorisation needs 50"):
        memorisation.score(trial(FRESH, REAL, train=TRAIN[:20]))


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
        assert ways[1].values[name].value == pytest.approx(estimate.value, rel=1e-6), name
    assert len(ways[0].values) == 10
