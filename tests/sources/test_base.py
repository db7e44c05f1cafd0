"""Labels of every kind that files have: numbers, names, or none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.sources.base import Label, label_classes, read_labels


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 3, -1, None], [0, 3, None, None]),
        ([0.0, 3.0, -1.0, math.nan], [0, 3, None, None]),
        (["cat", "3", "", " ", None], ["cat", "3", None, None, None]),
        ([b"cat", "h\u00e9ron".encode(), b""], ["cat", "h\u00e9ron", None]),
        ([True, False, None], ["True", "False", None]),
        (np.array(["cat", "dog"]).tolist(), ["cat", "dog"]),
        (np.array([b"cat", b"dog"]).tolist(), ["cat", "dog"]),
        (np.array([3, 0], np.uint64).tolist(), [3, 0]),
        (np.array([1.0, np.nan], np.float16).tolist(), [1, None]),
        (np.array([True, False]).tolist(), ["True", "False"]),
    ],
)
def test_labels_are_numbers_names_or_none(values: list[Any], expected: list[Label]) -> None:
    found = read_labels(values, "a.npz: y")
    assert found == expected
    assert [type(label) for label in found] == [type(label) for label in expected]


@pytest.mark.parametrize("value", [-2, 0.5, -0.5, math.inf, 100_000, 10**30, 1e30, 1j, [1], {"a": 1}])
def test_any_other_label_stops_with_its_row(value: Any) -> None:
    with pytest.raises(
        InputError, match=r"a.npz: y: row 12 has the label .*; expected a name or a whole number from 0 to 99999"
    ):
        read_labels([0, 1, value], "a.npz: y", first=10)


def test_classes_are_those_that_occur_numbers_in_their_order() -> None:
    assert label_classes([10, 2, None, 2]) == ["2", "10"]
    assert label_classes(["dog", None, "cat", "dog"]) == ["cat", "dog"]
    assert label_classes([None]) == []
