"""kid: unbiased, and the same however it is computed."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.metrics import kid
from pipelines.metrics.base import Comparison
from tests.metrics.trials import trial


def by_definition(x: np.ndarray, y: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    within = (kernel(x, x).sum() - np.trace(kernel(x, x))) / (n * (n - 1))
    of_real = (kernel(y, y).sum() - np.trace(kernel(y, y))) / (m * (m - 1))
    return float(within + of_real - 2 * kernel(x, y).mean())


def score(found: Comparison) -> float:
    return kid.score(found)["kid"].value


def test_it_is_the_definition_s_for_sets_of_any_size() -> None:
    random = np.random.default_rng(0)
    x, y = random.standard_normal((70, 5)), random.standard_normal((1500, 5)) + 0.2
    assert score(trial(x, y)) == pytest.approx(by_definition(x, y), rel=1e-9)


def test_it_is_around_zero_for_equal_distributions_and_grows_with_the_shift() -> None:
    random = np.random.default_rng(1)
    found = [
        [score(trial(random.standard_normal((60, 4)) + shift, random.standard_normal((60, 4)))) for _ in range(40)]
        for shift in (0.0, 0.5, 1.0)
    ]
    same, near, far = (np.mean(values) for values in found)
    assert abs(same) < 3 * np.std(found[0]) / np.sqrt(40)
    assert same < near < far


@pytest.mark.parametrize("limit", ["BLOCK", "MOST_PAIRS"])
def test_large_sets_are_compared_block_by_block(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(2)
    x, y = random.standard_normal((400, 3)), random.standard_normal((200, 3)) + 1
    monkeypatch.setattr(kid, "LEAST_BLOCK", 10)
    monkeypatch.setattr(kid, limit, {"BLOCK": 100, "MOST_PAIRS": 400 * 100}[limit])
    found = trial(x, y)
    blocks = [list(kid.random_blocks(side, 4)) for side in (found.generated, found.real)]
    for side, whole in zip(blocks, (x, y), strict=True):
        rows = np.concatenate([rows for rows, _ in side])
        assert sorted(map(tuple, rows)) == sorted(map(tuple, whole))
    sums = [by_definition(a, b) for (a, _), (b, _) in zip(*blocks, strict=True)]
    assert score(found) == pytest.approx(np.mean(sums), rel=1e-9)


def test_rows_sorted_by_class_score_as_any_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block of one class against a block of another would be far apart, although the sets are not."""
    random = np.random.default_rng(3)
    labels = [np.sort(random.integers(4, size=800)) for _ in range(2)]
    x, y = (np.eye(4)[some] * 5 + random.standard_normal((800, 4)) for some in labels)
    monkeypatch.setattr(kid, "LEAST_BLOCK", 10)
    monkeypatch.setattr(kid, "BLOCK", 100)
    for found in (kid.score(trial(x, random.permutation(y)))["kid"], kid.score(trial(x, y))["kid"]):
        assert found.interval.low < 0 < found.interval.high
        assert abs(found.value) < 15  # of one class against another it is over 400
