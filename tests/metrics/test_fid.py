"""fid: right for Gaussians with a known distance, for singular covariances, and never negative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.features.base import Features
from pipelines.metrics import fid
from pipelines.metrics.base import Benchmark, Drawn


def gaussian(rows: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.standard_normal((rows, width)) @ random.standard_normal((width, width)) + random.standard_normal(width)


def by_matrix_square_root(a: np.ndarray, b: np.ndarray) -> float:
    """The formula as papers write it, by eigenvalues of the unsymmetric product."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(cov_a @ cov_b).astype(complex)).real.sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * roots)


def test_diagonal_gaussians_have_the_known_distance() -> None:
    mean_a, mean_b = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 5.0])
    spread_a, spread_b = np.array([1.0, 2.0, 0.0]), np.array([4.0, 2.0, 3.0])  # standard deviations, one of them 0
    expected = ((mean_a - mean_b) ** 2).sum() + ((spread_a - spread_b) ** 2).sum()
    assert fid.frechet(mean_a, np.diag(spread_a**2), mean_b, np.diag(spread_b**2)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("rows", "width"), [(500, 3), (400, 64), (40, 64)])
def test_it_equals_the_formula_also_with_fewer_rows_than_dimensions(rows: int, width: int) -> None:
    a, b = gaussian(rows, width, 1), gaussian(rows + 9, width, 2)
    assert fid.distance(a, b) == pytest.approx(by_matrix_square_root(a, b), rel=1e-6)
    assert fid.distance(b, a) == pytest.approx(fid.distance(a, b), rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(2, 60), width=st.integers(1, 20), seed=st.integers(0, 1000))
def test_it_is_zero_on_itself_never_negative_and_blind_to_row_order_and_shift(rows: int, width: int, seed: int) -> None:
    a, b = gaussian(rows, width, seed), gaussian(rows + 3, width, seed + 1)
    scale = float(np.trace(np.atleast_2d(np.cov(a, rowvar=False)))) + 1
    assert 0 <= fid.distance(a, a) <= 1e-6 * scale
    there = fid.distance(a, b)
    assert there >= 0
    assert fid.distance(a[::-1], b + 0) == pytest.approx(there, rel=1e-8, abs=1e-8)
    assert fid.distance(a + 7, b + 7) == pytest.approx(there, rel=1e-6, abs=1e-6 * scale)


def test_constant_features_differ_by_their_means_alone() -> None:
    assert fid.distance(np.zeros((5, 3)), np.full((6, 3), 2.0)) == pytest.approx(12)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.full((3, 2), np.nan), np.zeros((3, 2)), "not finite"),
        (np.zeros((1, 2)), np.zeros((3, 2)), "n >= 2"),
        (np.zeros((3, 2)), np.zeros((3, 4)), "different widths"),
    ],
)
def test_what_cannot_be_compared_is_refused(a: np.ndarray, b: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fid.distance(a, b)


def test_the_floor_takes_as_many_training_rows_as_there_are_samples() -> None:
    real = gaussian(300, 4, 0).astype(np.float32)
    holdout, train = Features(real[:100], None), Features(real[100:], None)
    benchmark = Benchmark("id", [], holdout, np.full(100, -1), train)
    drawn = Drawn(Features(real[100:150] + 1, None), None)
    scores = fid.score(drawn, benchmark)
    assert scores["fid_floor"] == pytest.approx(fid.distance(real[100:150], real[:100]))
    assert scores["fid"] > scores["fid_floor"]
