"""Scores by class: directions, bounds, silence where there are no classes, and "not enough" where there are few rows."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.metrics import class_accuracy, class_fid, inception_score
from pipelines.metrics.base import Comparison
from pipelines.metrics.intervals import NotEnoughError
from tests.metrics.trials import distance, trial

CLASSES = ["cat", "dog"]
NOTHING = np.zeros((40, 2))


def judged(probabilities: list[list[float]], labels: list[int] | None = None) -> Comparison:
    return trial(
        np.zeros((len(probabilities), 2)),
        NOTHING,
        probabilities=np.array(probabilities, np.float32),
        labels=None if labels is None else np.array(labels, np.int32),
        classes=CLASSES,
    )


def test_inception_score_runs_from_one_to_the_number_of_classes() -> None:
    def score(probabilities: list[list[float]]) -> float:
        found = inception_score.score(judged(probabilities))["inception_score"].value
        p = np.clip(np.array(probabilities), 1e-16, 1)
        assert found == pytest.approx(np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean()))  # its definition
        return found

    assert score([[1, 0], [0, 1]] * 10) == pytest.approx(2)
    assert score([[1, 0], [1, 0]] * 10) == pytest.approx(1)
    assert score([[0.5, 0.5]] * 20) == pytest.approx(1)


def test_class_accuracy_counts_what_was_asked_for() -> None:
    probabilities = [[0.9, 0.1]] * 20 + [[0.2, 0.8], [0.6, 0.4], [0.1, 0.9]] * 20
    scores = class_accuracy.score(judged(probabilities, [0] * 20 + [1] * 60))
    assert scores["class_accuracy"].value == pytest.approx(0.75)
    assert {name: found.value for name, found in scores["class_accuracies"].items()} == {
        "cat": 1.0,
        "dog": pytest.approx(2 / 3),
    }


def test_an_ideal_model_gets_what_the_classifier_gives_to_held_out_rows() -> None:
    real = np.array([[0.9, 0.1]] * 30 + [[0.2, 0.8]] * 10, np.float32)
    for real_labels, ideal, of_cats in (
        ([0] * 25 + [1] * 15, 35 / 40, 1.0),
        ([0] * 10 + [-1] * 20 + [1] * 10, 1.0, None),  # 20 rows have a name, too few are cats
        ([-1] * 40, None, None),
    ):
        comparison = trial(
            np.zeros((40, 2)),
            NOTHING,
            probabilities=real,
            labels=np.arange(40) % 2,
            real_labels=np.array(real_labels),
            classes=CLASSES,
            real_probabilities=real,
        )
        found = class_accuracy.score(comparison)
        assert found["class_accuracy"].ideal == (None if ideal is None else pytest.approx(ideal))
        assert found["class_accuracies"]["cat"].ideal == of_cats
        clear = inception_score.score(comparison)["inception_score"]
        assert clear.ideal == pytest.approx(clear.unbiased)


def test_a_classifier_that_few_real_rows_vouch_for_tells_nothing() -> None:
    comparison = trial(
        np.zeros((40, 2)),
        NOTHING,
        probabilities=np.array([[0.9, 0.1]] * 40, np.float32),
        labels=np.zeros(40, np.int32),
        real_labels=np.array([0] * 15 + [-1] * 25),
        classes=CLASSES,
    )
    with pytest.raises(NotEnoughError, match="20 real rows with a class or more, came 15"):
        class_accuracy.score(comparison)


def test_a_class_of_few_images_has_no_accuracy_of_its_own() -> None:
    scores = class_accuracy.score(judged([[0.9, 0.1]] * 30, [0] * 29 + [1]))
    assert list(scores["class_accuracies"]) == ["cat"]


def test_class_fid_is_the_fid_of_each_class() -> None:
    random = np.random.default_rng(0)
    drawn, real = random.standard_normal((60, 2)), random.standard_normal((50, 2))
    labels, real_labels = np.arange(60) % 2, np.arange(50) % 2
    drawn[labels == 1] += 3
    table = class_fid.score(trial(drawn, real, labels=labels, real_labels=real_labels, classes=CLASSES))["class_fids"]
    for label, name in enumerate(CLASSES):
        assert table[name].value == pytest.approx(distance(drawn[labels == label], real[real_labels == label]))
    assert table["dog"].interval.low > table["cat"].interval.high


def test_without_classes_there_is_no_such_score() -> None:
    plain = trial(NOTHING, NOTHING)
    assert class_accuracy.score(judged([[1, 0]] * 30)) == {}
    assert class_accuracy.score(plain) == inception_score.score(plain) == class_fid.score(plain) == {}


def test_too_few_rows_are_not_enough() -> None:
    with pytest.raises(NotEnoughError, match="20 generated rows or more, came 19"):
        inception_score.score(judged([[1, 0]] * 19))
    with pytest.raises(NotEnoughError, match="class_accuracy needs 20 generated rows"):
        class_accuracy.score(judged([[1, 0]] * 3, [0] * 3))
    with pytest.raises(NotEnoughError, match="class_fid needs more than 2 images of a class"):
        labels = np.array([0, 1, 0, 1])
        few = np.zeros((4, 2))
        class_fid.score(trial(few, few, labels=labels, real_labels=labels, classes=CLASSES))
