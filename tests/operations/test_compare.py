"""Comparing image sets: classes are matched by their names."""

from __future__ import annotations

import numpy as np
import pytest

from operations.compare import translate_labels


@pytest.mark.parametrize(
    ("labels", "own", "expected"),
    [
        ([0, 1, 1], ["dog", "cat"], [1, 0, 0]),
        ([0, 0], ["owl"], [2, 2]),  # a set without some classes
        ([0, -1], ["dog", "cat"], None),
        ([0, 1], ["dog", "newt"], None),
        ([], [], None),
    ],
)
def test_labels_are_translated_by_the_names_of_their_classes(
    labels: list[int], own: list[str], expected: list[int] | None
) -> None:
    found = translate_labels(np.array(labels, np.int32), own, ["cat", "dog", "owl"])
    assert (None if found is None else found.tolist()) == expected
