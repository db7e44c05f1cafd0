"""The arithmetic of limits: expectations of one row, places in the budget, parts of raters, bars of days."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.core import facts
from pipelines.curation import bounds, budget, timeline
from pipelines.curation.quotas import Parts
from pipelines.settings.schema import Expectations
from tests.curation.sealed import BEGIN, Feedback


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
    assert bounds.broken(measured, Expectations(**limits)).tolist() == broken


@given(st.integers(0, 10_000), st.floats(0, 0.99))
def test_no_more_can_be_drawn_than_the_share_allows_and_no_fewer(count: int, share: float) -> None:
    most = budget.places({0: count}, share)[0]
    assert most <= share * (most + count) + 1e-6
    assert most + 1 > share * (most + 1 + count) - 1e-6


@given(st.lists(st.sets(st.sampled_from("abcde"), min_size=1), max_size=60), st.floats(0, 6))
def test_nobody_moves_more_than_their_part(wanted: list[set[str]], most: float) -> None:
    parts = Parts(most)
    taken = sum(parts.take(raters) for raters in wanted)
    assert max(parts.moved.values(), default=0) <= most + 1e-6
    assert sum(parts.moved.values()) == pytest.approx(taken)


def test_a_long_time_is_drawn_in_few_bars() -> None:
    said = Feedback()
    sample = said.sample(None)
    for day in (0, 0, 1, 400):
        said.vote("ann", sample, 1 if day else -1, BEGIN + timedelta(days=day))
    found = timeline.count(said.events)  # type: ignore[arg-type]
    assert found is not None
    assert (found.each, found.most, len(found.bars)) == (7, 3, 58)
    assert found.bars[0].title == "2026-01-01: 1 likes, 2 dislikes"
    assert found.bars[0].likes + found.bars[0].dislikes == pytest.approx(found.height, abs=0.1)
    assert found.bars[-1].likes == pytest.approx(found.height / 3, abs=0.1)
    assert timeline.count([]) is None
