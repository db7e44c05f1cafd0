"""Intervals hold the truth as often as they say, and two models are compared on the same real rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.metrics import base, fid, intervals
from pipelines.metrics.base import FeatureRows
from pipelines.metrics.moments import Moments


def gaussian(rows: int, shift: float, seed: int, width: int = 8) -> FeatureRows:
    return FeatureRows(np.random.default_rng([seed, rows]).standard_normal((rows, width)) + shift)


def true_distance(shift: float, width: int = 8) -> float:
    one = Moments(2, np.zeros(width), np.eye(width))
    return fid.frechet(Moments(2, np.full(width, shift), np.eye(width)), one)


def test_a_mean_has_the_textbook_s_interval() -> None:
    values = np.random.default_rng(0).standard_normal(2000)
    found = base.mean(values, intervals.assign_groups(len(values)), -np.inf, np.inf)
    assert found.value == pytest.approx(values.mean())
    assert found.corrected == pytest.approx(values.mean(), abs=1e-9)
    low, high = found.interval
    assert (high - low) / 2 == pytest.approx(1.96 / np.sqrt(len(values)), rel=0.2)


def test_the_bias_of_few_rows_is_taken_out() -> None:
    values, corrected = [], []
    for seed in range(20):
        found = fid.compare(gaussian(300, 0.5, seed), gaussian(200, 0.0, seed + 100))
        values.append(found.value)
        corrected.append(found.corrected)
    truth = true_distance(0.5)
    assert np.mean(values) > truth + 0.1  # what every library prints
    assert np.mean(corrected) == pytest.approx(truth, abs=0.05)


@pytest.mark.slow
def test_the_interval_holds_the_true_distance_about_as_often_as_it_says() -> None:
    held = 0
    for seed in range(40):
        low, high = fid.compare(gaussian(400, 0.3, seed), gaussian(400, 0.0, seed + 100)).interval
        held += low <= true_distance(0.3) <= high
    assert held >= 34  # 95 % of 40 are 38; fewer than 34 come up once in 3,000 times


def test_a_difference_is_surer_than_its_parts_where_the_real_rows_are_few() -> None:
    real = gaussian(200, 0.0, 0)
    a, b = (fid.compare(gaussian(5000, shift, seed), real) for shift, seed in ((0.5, 1), (0.4, 2)))
    middle, (low, high) = intervals.difference(a, b)
    assert low < true_distance(0.5) - true_distance(0.4) < high
    assert middle == pytest.approx(a.corrected - b.corrected)
    lengths = [found.interval.high - found.interval.low for found in (a, b)]
    assert high - low < min(lengths)


def test_a_model_against_itself_differs_by_nothing() -> None:
    a = fid.compare(gaussian(300, 0.1, 1), gaussian(200, 0.0, 0))
    middle, (low, high) = intervals.difference(a, a)
    assert middle == 0
    assert low < 0 < high


def test_scores_on_other_real_rows_are_not_compared() -> None:
    a = fid.compare(gaussian(300, 0.1, 1), gaussian(200, 0.0, 0))
    b = fid.compare(gaussian(300, 0.1, 1), gaussian(50, 0.0, 0))
    with pytest.raises(ValueError, match="the same real rows"):
        intervals.difference(a, b)


def test_an_interval_stays_within_what_the_score_can_be() -> None:
    same = fid.compare(gaussian(2000, 0.0, 1), gaussian(2000, 0.0, 2)).interval
    assert same.low == 0
    assert same.high > 0
    right = np.ones(100)
    right[0] = 0
    assert base.mean(right, intervals.assign_groups(100), 0.0, 1.0).interval.high == 1.0


def test_rows_are_dealt_alike_at_every_call_and_into_fewer_groups_where_features_are_wide() -> None:
    assert (intervals.assign_groups(1000) == intervals.assign_groups(1000)).all()
    assert np.bincount(intervals.assign_groups(1000)).tolist() == [10] * 100
    assert intervals.assign_groups(10_000, width=2048).max() + 1 == 16
    assert sorted(intervals.assign_groups(3)) == [0, 1, 2]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_share_of_none_or_all_is_as_uncertain_as_wilson_says(share: float) -> None:
    found = base.mean(np.full(60, share), intervals.assign_groups(60), 0.0, 1.0)
    assert found.interval == pytest.approx(intervals.wilson(share, 60))
    assert found.value == found.unbiased == share


def test_near_its_least_the_interval_goes_by_the_spread_there() -> None:
    deviations = np.full(100, 0.1)  # a standard error of 1
    found = intervals.Estimate(9, 1.9, deviations, np.zeros(0), np.zeros((3, 0)), least=0.0, least_spread=0.5)
    assert found.interval.low > 0
    assert replace(found, least_spread=1.0).interval.low == 0
    assert replace(found, corrected=50.0).interval.low == pytest.approx(50 - 1.98, abs=0.05)
    assert found.interval.high == replace(found, least_spread=None).interval.high


def test_a_surer_interval_is_wider_and_the_usual_one_is_as_it_was() -> None:
    a, b = (fid.compare(gaussian(300, shift, 1), gaussian(200, 0.0, 0)) for shift in (0.5, 0.4))
    assert a.interval_at(intervals.LEVEL) == a.interval
    assert intervals.difference(a, b, intervals.LEVEL) == intervals.difference(a, b)
    middle, usual = intervals.difference(a, b)
    same, wider = intervals.difference(a, b, 0.975)
    assert same == middle
    assert (wider.high - wider.low) / (usual.high - usual.low) == pytest.approx(2.276 / 1.984, abs=0.001)  # of Student's t
    near = replace(a, corrected=0.5, least_spread=0.02)
    assert near.interval_at(0.975).low < near.interval.low < near.interval.high < near.interval_at(0.975).high
    assert intervals.widen(1.0, intervals.Interval(0.0, 3.0), 0.975) == pytest.approx((1 - 1.1436, 1 + 2 * 1.1436), abs=0.001)
