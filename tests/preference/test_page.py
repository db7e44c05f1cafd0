"""The page of the approval model: whole, bare, and right about where its marks lie."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from pipelines.preference import page
from pipelines.preference.accuracy import ReliabilityBin

NOTHING: dict[str, Any] = {
    "votes": 0, "choices": 0, "samples": 0, "effective_share": 1.0, "strength": 0.0, "changed": False, "why": "no votes yet",
}  # fmt: skip
FIGURES = {"auc": 0.72, "auc_low": 0.7, "auc_high": 0.755, "brier": 0.2}
BINS = [ReliabilityBin(0.25, 0.2, 0.1, 0.3, 50), ReliabilityBin(0.5, 0.75, 0.5, 1.0, 60)]


def test_before_anybody_has_voted_there_is_a_page_too() -> None:
    html = page.render(NOTHING, [], {})
    assert '<b class="soft">Nothing changes.</b> No votes yet.' in html
    assert "<h2" not in html
    assert "<svg" not in html


def test_everything_is_in_the_page_itself() -> None:
    strips = {name: np.zeros((3, 8, 8, 1), np.uint8) for name in ("real_most", "real_least", "samples_most", "samples_least")}
    report = {**NOTHING, **FIGURES, "votes": 1200, "strength": 5.0, "effective_share": 0.5, "changed": True}
    html = page.render(report, BINS, strips)
    assert re.findall("http|://|<script|<link|url\\(|@import", html) == []
    assert all(source.startswith("data:image/png;base64,") for source in re.findall('src="(.*?)"', html))
    assert re.findall("<h[12]>(.*?)</h", html) == [
        "What people like", "Real images", "Judged images", "Are its probabilities right?",
    ]  # fmt: skip
    assert "what people prefer is put first in 72 of 100 cases (95% interval 70 to 76)" in html
    assert "differ 1.65 times in weight" in html
    for drawing in re.findall("<svg.*?</svg>", html, re.DOTALL):
        ElementTree.fromstring(drawing)


def test_points_lie_where_they_should() -> None:
    plot = page.reliability(BINS)
    middle = (plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2
    second = page.whisker(BINS[1], plot)
    assert (second.x, second.low, second.high) == pytest.approx((middle[0], middle[1], plot.top))
    assert plot.points[1].title == "predicted 50%, observed 75% (95% interval 50% to 100%), 60 judgements"


def test_words_of_a_reason_are_text_and_nothing_else() -> None:
    html = page.render({**NOTHING, "why": "<script>alert(1)</script>"}, [], {})
    assert "<script" not in html
