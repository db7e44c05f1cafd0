"""neighbours: the answers of all pairs' float64 distances, whatever the numbers, in any order, and in the right direction."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.metrics import neighbours
from pipelines.metrics.neighbours import Membership

RANDOM = np.random.default_rng(0)
REAL = RANDOM.standard_normal((400, 8))
FRESH = RANDOM.standard_normal((300, 8))


def squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    gaps = a[:, None].astype(np.float64) - b[None]
    return np.vecdot(gaps, gaps)


def squared_radii(points: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    apart = squares(points, points)
    np.fill_diagonal(apart, np.inf)
    return np.sort(apart, axis=1)[:, np.array(ks) - 1].T


def radii(points: np.ndarray, ks: Sequence[int]) -> np.ndarray:
    (points,), unit = neighbours.prepare(points=points)
    return np.sqrt(np.abs(2 * neighbours.nearness_of_neighbours(points, ks))) * unit


def check(drawn: np.ndarray, real: np.ndarray, ks: Sequence[int]) -> None:
    """Against brute force."""
    apart, of_drawn, of_real = squares(drawn, real), squared_radii(drawn, ks), squared_radii(real, ks)
    found = neighbours.membership(drawn, real, ks)
    for k in range(len(ks)):
        assert np.array_equal(found.generated_in_real[k], (apart <= of_real[k]).sum(axis=1))
        assert np.array_equal(found.real_in_generated[k], (apart <= of_drawn[k][:, None]).any(axis=0))
        assert np.array_equal(found.real_reached[k], (apart <= of_real[k]).any(axis=0))
    assert np.array_equal(radii(drawn, ks), np.sqrt(of_drawn))
    which, distance = neighbours.nearest(drawn, real)
    assert np.array_equal(which, apart.argmin(axis=1))
    assert np.array_equal(distance, np.sqrt(apart.min(axis=1)))


def shares(found: Membership, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage."""
    within = found.generated_in_real[0]
    return (within > 0).mean(), found.real_in_generated[0].mean(), within.mean() / k, found.real_reached[0].mean()


@settings(max_examples=40, deadline=None)
@given(
    rows=st.tuples(st.integers(6, 60), st.integers(6, 60)),
    width=st.integers(2, 40),
    ks=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    scale=st.sampled_from([1e-30, 1e-3, 1.0, 1e4, 1e15]),
    shift=st.sampled_from([0.0, 1.0, 1000.0]),
    twins=st.integers(0, 30),
    dtype=st.sampled_from([np.float32, np.float64]),
    tile=st.sampled_from([5, 16, 1280]),
    held=st.sampled_from([1, 2**22]),
    seed=st.integers(0, 1000),
)
def test_the_answers_are_those_of_brute_force(
    rows: tuple[int, int],
    width: int,
    ks: list[int],
    scale: float,
    shift: float,
    twins: int,
    dtype: type[np.floating],
    tile: int,
    held: int,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    drawn, real = (((random.standard_normal((n, width)) + shift) * scale).astype(dtype) for n in rows)
    for a, b in (drawn, drawn), (real, real), (drawn, real):  # rows that equal others of their own set, or of the other
        a[random.integers(len(a), size=twins)] = b[random.integers(len(b), size=twins)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "TILE", tile)
        patch.setattr(neighbours, "HELD", held)
        check(drawn, real, ks)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [2, 6])
def test_equal_distances_on_a_grid_are_equal(dtype: type[np.floating], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "TILE", 64)
    drawn, real = (RANDOM.integers(0, 4, (n, width)).astype(dtype) for n in (150, 200))
    check(drawn, real, [1, 3, 8])
    check(drawn * 3 + 10_000, real * 3 + 10_000, [1, 3, 8])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pairs_much_nearer_than_float32_tells_are_told_apart(dtype: type[np.floating]) -> None:
    modes = 100 * RANDOM.standard_normal((4, 5))
    drawn, real = (modes[RANDOM.integers(4, size=n)] + 1e-4 * RANDOM.standard_normal((n, 5)) for n in (150, 200))
    check(drawn.astype(dtype), real.astype(dtype), [1, 5])


def test_rows_of_hugely_different_scales_are_told_apart() -> None:
    scales = 10.0 ** RANDOM.integers(-20, 20, (200, 1))
    check(REAL[:200] * scales, FRESH[:200] * scales[::-1], [2, 5])


@pytest.mark.parametrize("unit", [2.0**-500, 2.0**500])
def test_squares_may_leave_the_range_of_float64(unit: float) -> None:
    assert np.array_equal(radii(REAL * unit, [3]), radii(REAL, [3]) * unit)
    assert np.array_equal(neighbours.nearest(FRESH * unit, REAL * unit)[1], neighbours.nearest(FRESH, REAL)[1] * unit)


def test_the_order_of_rows_changes_nothing() -> None:
    found = neighbours.membership(FRESH, REAL, [3, 5])
    of_drawn, of_real = RANDOM.permutation(len(FRESH)), RANDOM.permutation(len(REAL))
    again = neighbours.membership(FRESH[of_drawn], REAL[of_real], [3, 5])
    assert np.array_equal(again.generated_in_real, found.generated_in_real[:, of_drawn])
    assert np.array_equal(again.real_in_generated, found.real_in_generated[:, of_real])
    assert np.array_equal(again.real_reached, found.real_reached[:, of_real])


def test_a_row_in_both_sets_is_nearest_to_itself_and_no_neighbour_of_its_own() -> None:
    which, distance = neighbours.nearest(REAL, REAL)
    assert np.array_equal(which, np.arange(len(REAL)))
    assert not distance.any()
    assert (radii(REAL, [1]) > 0).all()


def test_a_ball_without_extent_holds_its_centre() -> None:
    found = neighbours.membership(np.full((20, 3), 7.0), np.concatenate([np.full((10, 3), 7.0), REAL[:, :3] + 100]), [5])
    assert (found.generated_in_real == 10).all()
    assert found.real_in_generated[0].sum() == found.real_reached[0].sum() == 10


def test_a_shift_lowers_all_four() -> None:
    precision, recall, density, coverage = shares(neighbours.membership(FRESH, REAL, [5]), 5)
    assert min(precision, recall, coverage) > 0.8
    assert density == pytest.approx(1, abs=0.15)
    shifted = shares(neighbours.membership(FRESH + 1.5, REAL, [5]), 5)
    assert all(less < more / 2 for less, more in zip(shifted, (precision, recall, density, coverage), strict=True))


def test_a_collapsed_set_has_precision_but_no_recall_nor_coverage() -> None:
    precision, recall, _, coverage = shares(neighbours.membership(REAL[:1] + 1e-3 * FRESH, REAL, [5]), 5)
    assert precision == 1
    assert recall < 0.01
    assert coverage < 0.1


@pytest.mark.parametrize(
    ("drawn", "real", "ks", "words"),
    [
        (np.full((9, 2), np.nan), np.zeros((9, 2)), [1], "generated hold numbers that are not finite"),
        (np.zeros((9, 2)), np.full((9, 2), -np.inf, dtype=np.float32), [1], "real hold numbers that are not finite"),
        (np.zeros((9, 2)), np.zeros((9, 4)), [1], r"different widths cannot be compared: {'generated': 2, 'real': 4}"),
        (
            np.zeros((9, 2), dtype=int),
            np.zeros((9, 2)),
            [1],
            r"shape \(9, 2\) and type int64; expected \(n, d\) float32 or float64",
        ),
        (np.zeros(9), np.zeros((9, 2)), [1], r"shape \(9,\)"),
        (np.zeros((9, 2)), np.zeros((5, 2)), [5], r"5 rows do not have neighbours \[5\]; expected some from 1 to 4"),
        (np.zeros((9, 2)), np.zeros((9, 2)), [0], r"neighbours \[0\]"),
        (np.zeros((9, 2)), np.zeros((9, 2)), [], r"neighbours \[\]"),
    ],
)
def test_what_has_no_neighbours_is_refused(drawn: np.ndarray, real: np.ndarray, ks: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        neighbours.membership(drawn, real, ks)
