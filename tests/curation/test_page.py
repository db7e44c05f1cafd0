"""Votes over time, as bars."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pipelines.curation import page
from tests.curation.sealed import BEGIN, Feedback


def test_a_long_time_is_drawn_in_few_bars() -> None:
    feedback = Feedback()
    sample = feedback.sample(None)
    for day in (0, 0, 1, 400):
        feedback.vote("ann", sample, 1 if day else -1, BEGIN + timedelta(days=day))
    found = page.timeline(feedback.events)  # type: ignore[arg-type]
    assert found is not None
    assert (found.days, found.most, len(found.bars)) == (7, 3, 58)
    assert found.bars[0].title == "2026-01-01: 1 likes, 2 dislikes"
    assert found.bars[0].likes + found.bars[0].dislikes == pytest.approx(found.height, abs=0.1)
    assert found.bars[-1].likes == pytest.approx(found.height / 3, abs=0.1)
    assert page.timeline([]) is None
