"""Scores from the classifier: directions, bounds, and silence where there are no classes."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.features.base import Features
from pipelines.metrics import class_accuracy, inception_score
from pipelines.metrics.base import Benchmark, Drawn

NOTHING = Features(np.zeros((4, 2), np.float32), None)
BENCHMARK = Benchmark("id", ["cat", "dog"], NOTHING, np.zeros(4, np.int32), NOTHING)


def drawn(probabilities: list[list[float]], labels: list[int] | None = None) -> Drawn:
    features = Features(np.zeros((len(probabilities), 2), np.float32), np.array(probabilities, np.float32))
    return Drawn(features, None if labels is None else np.array(labels, np.int32))


def test_inception_score_runs_from_one_to_the_number_of_classes() -> None:
    assert inception_score.score(drawn([[1, 0], [0, 1]]), BENCHMARK)["inception_score"] == pytest.approx(2)
    assert inception_score.score(drawn([[1, 0], [1, 0]]), BENCHMARK)["inception_score"] == pytest.approx(1)
    assert inception_score.score(drawn([[0.5, 0.5]] * 4), BENCHMARK)["inception_score"] == pytest.approx(1)


def test_class_accuracy_counts_what_was_asked_for() -> None:
    scores = class_accuracy.score(drawn([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.1, 0.9]], [0, 1, 1, 1]), BENCHMARK)
    assert scores["class_accuracy"] == pytest.approx(0.75)
    assert scores["class_accuracies"] == {"cat": 1.0, "dog": pytest.approx(2 / 3)}


def test_without_classes_there_is_no_such_score() -> None:
    assert class_accuracy.score(drawn([[1, 0]]), BENCHMARK) == {}
    assert class_accuracy.score(Drawn(NOTHING, np.zeros(4, np.int32)), BENCHMARK) == {}
    assert inception_score.score(Drawn(NOTHING, None), BENCHMARK) == {}
