"""Moments gathered in any chunks, order and grouping are those of all the rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.metrics.moments import GroupedMoments, Moments


def rows(count: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (random.standard_normal((count, width)) + random.uniform(-30, 30, width)) * random.uniform(0.01, 100, width)


def same(a: Moments, b: Moments) -> bool:
    scale = np.sqrt(np.outer(np.diag(b.scatter), np.diag(b.scatter))) + 1e-300
    return (
        a.count == b.count
        and np.allclose(a.mean, b.mean, rtol=1e-12)
        and bool((np.abs(a.scatter - b.scatter) <= 1e-12 * scale).all())
    )


def test_they_are_numpy_s_mean_and_covariance() -> None:
    x = rows(3000, 7, 0)
    found = Moments.from_rows(x)
    assert found.mean == pytest.approx(x.mean(axis=0), rel=1e-12)
    assert found.covariance == pytest.approx(np.cov(x, rowvar=False), rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(1, 499), max_size=8), seed=st.integers(0, 999), data=st.data())
def test_chunks_merge_in_any_order(cuts: list[int], seed: int, data: st.DataObject) -> None:
    x = rows(500, 5, seed)
    parts = [Moments.from_rows(part) for part in np.split(x, sorted(set(cuts)))]
    merged = Moments.from_rows(x[:0])
    for part in data.draw(st.permutations(parts)):
        merged = merged.merge(part)
    assert same(merged, Moments.from_rows(x))


def test_groups_can_be_left_out() -> None:
    x = rows(40_000, 3, 2)  # more than a chunk
    groups = np.random.default_rng(0).integers(-1, 9, len(x))
    grouped = GroupedMoments.from_vectors(x, groups, 9)
    kept = np.ones(9, bool)
    assert same(grouped.pooled(kept), Moments.from_rows(x[groups >= 0]))
    kept[[2, 5]] = False
    assert same(grouped.pooled(kept), Moments.from_rows(x[(groups >= 0) & (groups != 2) & (groups != 5)]))


def test_weights_that_say_how_often_a_row_came_are_as_good_as_the_rows() -> None:
    x = rows(400, 4, 4)
    times = np.random.default_rng(5).integers(0, 4, len(x))
    found, repeated = Moments.from_rows(x, times.astype(float)), Moments.from_rows(np.repeat(x, times, axis=0))
    assert (found.count, found.mean) == (repeated.count, pytest.approx(repeated.mean, rel=1e-12))
    assert found.scatter == pytest.approx(repeated.scatter, rel=1e-9)
    # Of weights it is not known that they are numbers of rows, so more is made up for.
    effective = repeated.count - (times**2).sum() / repeated.count
    assert found.covariance == pytest.approx(repeated.covariance * (repeated.count - 1) / effective, rel=1e-9)


def test_equal_weights_of_any_size_change_nothing() -> None:
    x = rows(300, 4, 6)
    for weight in (1.0, 0.001, 7.0):
        found = Moments.from_rows(x, np.full(len(x), weight))
        assert found.mean == pytest.approx(Moments.from_rows(x).mean, rel=1e-12)
        assert found.covariance == pytest.approx(Moments.from_rows(x).covariance, rel=1e-10)


def test_groups_of_weighted_rows_can_be_left_out() -> None:
    x = rows(40_000, 3, 7)
    groups, weights = np.random.default_rng(0).integers(0, 9, len(x)), np.random.default_rng(1).exponential(0.01, len(x))
    grouped = GroupedMoments.from_vectors(x, groups, 9, weights)
    kept = np.ones(9, bool)
    kept[[2, 5]] = False
    found, rest = grouped.pooled(kept), (groups != 2) & (groups != 5)
    expected = Moments.from_rows(x[rest], weights[rest])
    assert (found.count, found.squares) == (pytest.approx(expected.count), pytest.approx(expected.squares))
    assert found.mean == pytest.approx(expected.mean, rel=1e-10)
    assert found.covariance == pytest.approx(expected.covariance, rel=1e-9)


def test_a_number_that_is_not_finite_is_refused() -> None:
    x = rows(10, 3, 3)
    x[4, 1] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        Moments.from_rows(x)
