"""fid: right for Gaussians with a known distance, for singular covariances, and never negative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.metrics import fid, fid_infinity
from pipelines.metrics.intervals import NotEnoughError
from pipelines.metrics.moments import Moments
from tests.metrics.trials import distance, trial


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
    a, b = Moments(2, mean_a, np.diag(spread_a**2)), Moments(2, mean_b, np.diag(spread_b**2))
    assert fid.frechet(a, b) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("rows", "width"), [(500, 3), (400, 64), (40, 64)])
def test_it_equals_the_formula_also_with_fewer_rows_than_dimensions(rows: int, width: int) -> None:
    a, b = gaussian(rows, width, 1), gaussian(rows + 9, width, 2)
    assert distance(a, b) == pytest.approx(by_matrix_square_root(a, b), rel=1e-6)
    assert distance(b, a) == pytest.approx(distance(a, b), rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 60), width=st.integers(1, 20), seed=st.integers(0, 1000))
def test_it_is_symmetric_never_negative_and_blind_to_row_order_shift_and_rotation(rows: int, width: int, seed: int) -> None:
    a, b = gaussian(rows, width, seed), gaussian(rows + 3, width, seed + 1)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))[0]
    there = distance(a, b)
    same = pytest.approx(there, rel=1e-6, abs=1e-6)
    assert there >= 0
    assert distance(b, a) == same
    assert distance(a[::-1], b) == same
    assert distance(a + 7, b + 7) == same
    assert distance(a @ turn, b @ turn) == same


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 200), width=st.integers(1, 70), seed=st.integers(0, 1000))
def test_identical_sets_are_at_distance_zero(rows: int, width: int, seed: int) -> None:
    a = gaussian(rows, width, seed)
    assert 0 <= distance(a, a) <= 1e-6
    assert 0 <= distance(a, a[::-1]) <= 1e-6


def test_constant_features_differ_by_their_means_alone() -> None:
    assert distance(np.zeros((5, 3)), np.full((6, 3), 2.0)) == pytest.approx(12)


def test_features_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        distance(np.full((3, 2), np.nan), np.zeros((3, 2)))


@pytest.mark.parametrize("rows", [100, 1500])  # fewer than are unseen, and more than there are real rows
def test_the_floor_is_what_fresh_real_rows_get(rows: int) -> None:
    def fresh(count: int, seed: int) -> np.ndarray:
        return np.random.default_rng([seed, count]).standard_normal((count, 12)) * np.arange(1, 13)

    values = [distance(fresh(rows, seed), fresh(260, seed)) for seed in range(200)]
    floors = [fid.real_distance(trial(fresh(rows, 0), fresh(260, seed), train=fresh(240, seed))) for seed in range(20)]
    assert np.mean([floor.value for floor in floors if floor]) == pytest.approx(np.mean(values), rel=0.1)
    assert floors[0] is not None
    low, high = floors[0].interval
    assert 0.8 <= np.mean([low < value < high for value in values]) < 1


def test_rows_that_the_extractor_has_learned_from_have_no_part_in_the_floor() -> None:
    real, unseen, learned = gaussian(300, 4, 0), gaussian(200, 4, 0), 100 + gaussian(400, 4, 1)
    train, mask = np.concatenate([learned, unseen]), np.arange(600) < 400
    floor = fid.score(trial(real, real, train=train, learned=mask))["fid_floor"]
    assert floor.value == fid.score(trial(real, real, train=unseen))["fid_floor"].value


def test_without_training_rows_the_floor_is_that_of_held_out_ones() -> None:
    real = gaussian(400, 4, 0)
    floor = fid.score(trial(gaussian(300, 4, 1), real))["fid_floor"]
    assert floor.interval.low < distance(real[:200], real[200:]) * (1 / 300 + 1 / 400) / (2 / 200) < floor.interval.high
    assert "fid_floor" not in fid.score(trial(real[:8], real[:8]))  # no half has more rows than dimensions


@pytest.mark.slow
def test_the_distance_of_an_ideal_model_is_not_surely_above_zero_and_that_of_another_is() -> None:
    held = 0
    for seed in range(20):
        everything = np.random.default_rng(seed).standard_normal((1500, 8))
        found = fid.score(trial(everything[:800], everything[800:1100], train=everything[1100:]))["fid"]
        held += found.interval.low <= 0
        assert found.ideal == 0
        assert fid.score(trial(everything[:800] + 0.5, everything[800:1100]))["fid"].interval.low > 0
    assert held >= 16  # 95 % of 20 are 19


def test_more_rows_than_dimensions_are_needed() -> None:
    some = gaussian(100, 8, 0)
    with pytest.raises(NotEnoughError, match="fid needs 9 generated and as many real rows or more, came 8"):
        fid.score(trial(some[:8], some))
    with pytest.raises(NotEnoughError, match="fid needs 9"):
        fid.score(trial(some, some[:5]))


def test_infinity_is_the_same_for_few_and_many_images_of_one_distribution() -> None:
    random = np.random.default_rng(3)
    many, real = random.standard_normal((20_000, 10)) * 1.2, random.standard_normal((5000, 10))
    few, all_of_them = ({**fid.score(t), **fid_infinity.score(t)} for t in (trial(many[:500], real), trial(many, real)))
    assert few["fid"].value > all_of_them["fid"].value + 0.05  # the bias
    assert few["fid_infinity"].interval.low < all_of_them["fid_infinity"].value < few["fid_infinity"].interval.high
    truth = 10 * 0.2**2
    assert all_of_them["fid_infinity"].value == pytest.approx(truth, rel=0.1)
