"""Scores as people read them: never outside of their own interval, whatever version they are of."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core.numbers import three_digits
from pipelines.metrics.intervals import Estimate, Interval
from pipelines.scoring import readings
from pipelines.scoring.readings import Reading
from pipelines.scoring.scores import Scores

BIASED = {"fid": 5.048, "fid_unbiased": 0.79, "fid_low": 0.0, "fid_high": 1.591, "fid_floor": 4.21, "fid_ideal": 0.0}
OLD = {"fid": 5.048, "fid_low": 0.0, "fid_high": 1.591, "fid_floor": 4.9, "recall": 0.6, "recall_low": 0.5, "recall_high": 0.7}


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1345.2, "1,350"), (0.00012, "0.00012"), (123456.7, "123,000"), (0.123456, "0.123"), (0.0, "0"), (-0.0, "0"), (1.0, "1"),
     (999.7, "1,000"), (-0.06842, "-0.0684"), (12346, "12,346"), (np.int64(12346), "12,346"), (2e12, "2e+12")],
)  # fmt: skip
def test_numbers_have_three_digits_and_counts_all(value: float, shown: str) -> None:
    assert three_digits(value) == shown


def test_a_larger_number_never_reads_smaller() -> None:
    values = np.sort(np.random.default_rng(0).lognormal(0, 6, 20_000))
    shown = [float(three_digits(float(value)).replace(",", "")) for value in values]
    assert shown == sorted(shown)


def test_the_unbiased_value_comes_first_and_the_other_one_is_called_so() -> None:
    first, second = (row.cells() for row in readings.rows({"samples": 9, **BIASED}))
    names = ("score", "value", "95 % interval", "ideal model", "better")
    assert first == dict(zip(names, ("fid_unbiased", "0.79", "0 to 1.59", "0", "lower"), strict=True))
    assert second == dict(zip(names, ("fid as other libraries print it", "5.05", "", "4.21", "lower"), strict=True))


def test_a_value_with_its_bias_is_never_shown_with_the_interval_without_it() -> None:
    rows = {row.label: row.reading for row in readings.rows(OLD)}
    assert rows == {"fid as other libraries print it": Reading(5.048, None, 4.9), "recall": Reading(0.6, Interval(0.5, 0.7))}
    assert set(readings.read(OLD)) == {"recall"}
    old_value = readings.rows({"inception_score": 9.0, "inception_score_low": 7.0, "inception_score_high": 8.0})
    assert [row.reading.interval for row in old_value] == [None]


@pytest.mark.parametrize("name", [name for name, score in catalogue.scores().items() if not score.by_class])
def test_what_scores_write_is_read_back_within_its_interval(name: str) -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        generated, real = random.normal(size=(2, 20)) / 9
        middle, most = random.normal(), random.choice([0.5, math.inf])
        estimate = Estimate(random.normal(), middle, generated, real, np.zeros((3, 0)), -0.5, most, ideal=0.25)
        reading = readings.read(Scores("id", 9, {name: estimate}).flat())[name]
        assert reading.interval is not None
        assert reading == Reading.of(estimate)
        low, high = (float(end) for end in reading.interval_text.split(" to "))
        assert low <= float(reading.value_text) <= high


def test_scores_by_class_are_read_from_their_file(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text(
        "class,class_fids,class_fids_low,class_fids_high,class_accuracies,class_accuracies_low,class_accuracies_high,"
        "class_accuracies_ideal\n"
        "a,9.0,1.0,2.0,0.5,0.4,0.6,0.9\nb,,,,0.7,0.6,0.8,\n"
    )
    found = readings.read_classes(readings.class_lines(tmp_path))
    assert found == {
        "class_fids": {"a": Reading(9.0, None)},  # of an older version
        "class_accuracies": {"a": Reading(0.5, Interval(0.4, 0.6), 0.9), "b": Reading(0.7, Interval(0.6, 0.8))},
    }
    assert readings.class_lines(tmp_path / "none") == []
