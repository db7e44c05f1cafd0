"""approval: the mean of what the model of people's preferences says, and why there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.metrics import approval
from pipelines.metrics.base import Comparison
from pipelines.metrics.intervals import NotEnoughError
from tests.metrics.trials import trial

NOTHING = np.zeros((40, 2))


def of_a_project(found: Comparison) -> Comparison:
    return replace(found, benchmark=replace(found.benchmark, ids=np.array(["a", "b"])))


def test_it_is_the_mean_over_what_was_drawn() -> None:
    predicted = np.random.default_rng(0).random(2000) ** 2
    found = approval.score(trial(np.zeros((2000, 2)), NOTHING, approval=predicted))["approval"]
    assert found.value == pytest.approx(predicted.mean())
    low, high = found.interval
    assert 0 <= low < 1 / 3 < high <= 1
    assert (high - low) / 2 == pytest.approx(1.98 * predicted.std() / np.sqrt(2000), rel=0.25)


def test_before_it_is_known_what_people_like_there_is_a_reason() -> None:
    with pytest.raises(NotEnoughError, match="approval needs more votes or choices"):
        approval.score(of_a_project(trial(NOTHING, NOTHING)))
    with pytest.raises(NotEnoughError, match="approval needs 20 generated rows or more, came 19"):
        approval.score(of_a_project(trial(NOTHING[:19], NOTHING, approval=np.zeros(19))))


def test_two_sets_of_images_without_a_project_have_none() -> None:
    assert approval.score(trial(NOTHING, NOTHING)) == {}
