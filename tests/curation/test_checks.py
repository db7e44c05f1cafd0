"""The expectations that one row can break alone."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core import facts
from pipelines.curation import checks
from pipelines.settings.schema import Expectations


@pytest.mark.parametrize(
    ("limits", "broken"),
    [
        ({"side": [4, 20]}, ["", "side", "side", ""]),
        ({"brightness": [None, 100]}, ["", "", "brightness", "brightness"]),
        ({"contrast": [1, None], "side": [None, 30]}, ["", "", "side", "contrast"]),
        ({"modes": ["L", "RGB"]}, ["", "", "", "modes"]),
        ({"rows": [1000, None], "min_class_share": 1.0}, ["", "", "", ""]),
    ],
)
def test_the_first_expectation_that_a_row_breaks_is_named(limits: dict, broken: list[str]) -> None:
    measured = np.zeros(4, facts.FACT)
    measured["width"], measured["height"] = [10, 10, 40, 10], [10, 30, 10, 10]
    measured["mode"] = [b"L", b"RGB", b"L", b"LA"]
    measured["brightness"], measured["contrast"] = [50, 100, 101, np.nan], [5, 5, 5, np.nan]
    names = ("side", "modes", *checks.VISIBLE)
    assert [checks.first_broken(row, Expectations(**limits), names) or "" for row in np.split(measured, 4)] == broken
