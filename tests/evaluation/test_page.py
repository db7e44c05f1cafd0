"""The page of the evaluation: whole, bare, and safe from what names hold."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import escape
from PIL import Image

from pipelines import catalogue
from pipelines.core.numbers import three_digits
from pipelines.evaluation import page
from pipelines.metrics.base import NEIGHBOURS, Comparison
from pipelines.metrics.intervals import Estimate
from pipelines.scoring import plots, readings, scores
from pipelines.scoring.scores import Scores
from tests.metrics.trials import trial

PICTURES = {name: Image.new("RGB", (8, 8)) for name in ("samples", "real", "neighbours")}
TRAINING = [
    {"step": str(step), "loss": str(1 / step), "images_per_second": "9.5", "spread": "0.4"} for step in (100, 200, 300)
]  # fmt: skip


def sure(value: float, by: float = 0.0, least: float = 0.0, most: float = np.inf, corrected: float | None = None) -> Estimate:
    """About `by` to either side of its middle."""
    parts = np.array([by, -by]) / 18
    return Estimate(value, value if corrected is None else corrected, parts, np.zeros(0), np.zeros((3, 0)), least, most)


def everything(classes: list[str]) -> Comparison:
    """Enough rows for every metric."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % len(classes)
    drawn, real, train = (random.normal(size=(200, 4)).astype(np.float32) for _ in range(3))
    probabilities = np.eye(len(classes), dtype=np.float32)[np.where(np.arange(200) < 20, 0, labels)]
    walked = random.normal(size=(2, 60, 4)).astype(np.float32)
    found = trial(drawn, real, train, probabilities, labels, labels, classes, (walked[0], walked[1]), random.random(200))
    pixels = random.integers(0, 256, (2, 200, 8, 8, 1)).astype(np.uint8)
    candidate = replace(found.candidate, pixels=pixels[0], pixel_rows=np.arange(200))
    weights = np.linspace(0.5, 1.5, 200)
    return Comparison(candidate, replace(found.benchmark, pixels=pixels[1], pixel_labels=labels, preferred=weights))


@pytest.fixture(scope="module")
def found() -> Scores:
    return scores.measure(everything(["a", "b"]), list(catalogue.METRICS))


@pytest.fixture(scope="module")
def html(found: Scores) -> str:
    return page.render(found, everything(["a", "b"]), PICTURES, TRAINING)


def few() -> Comparison:
    return trial(np.zeros((10, 4), np.float32), np.zeros((10, 4), np.float32))


def test_every_score_has_its_sentence(found: Scores, html: str) -> None:
    assert found.missing == {}
    declared = catalogue.scores()
    assert set(found.values) == {name for name, score in declared.items() if not score.by_class}
    assert set(found.tables) == {name for name, score in declared.items() if score.by_class}
    assert all(str(escape(declared[name].meaning)) in html for name in found.values if name != "fid_floor")


def test_it_is_known_which_metric_yields_a_score() -> None:
    measured = everything(["a", "b"])
    for metric in catalogue.METRICS:
        found = scores.measure(measured, [metric])
        names = [*found.values, *found.tables]
        assert [catalogue.metric_of(name) for name in names] == [metric] * len(names)


def test_the_page_shows_everything_in_its_order(found: Scores, html: str) -> None:
    titles = re.findall("<h[12]>(.*?)</h", html)
    assert titles == [
        "The evaluation", "Pictures", "All scores", "Class by class", "Precision and recall", "Nearest training images",
        "Over the training",
    ]  # fmt: skip
    for name, estimate in found.values.items():
        shown = f"<b>{readings.unbiased_key(name).replace('_', ' ')}</b></td><td>{three_digits(estimate.unbiased)}</td>"
        assert (shown in html) == (name != "fid_floor")  # which is shown as the ideal of the raw value
    shown = f"<b>fid as other libraries print it</b></td><td>{three_digits(found.values['fid'].value)}</td>"
    assert f'{shown}<td><span class="number"></span></td><td>{three_digits(found.flat()["fid_floor"])}</td>' in html
    assert [html.count(f'<img class="{name}"') for name in PICTURES] == [1, 1, 1]
    assert html.count("over the steps of the training") == 2  # loss and spread, not the speed


def test_the_page_opens_without_a_network(html: str) -> None:
    assert re.findall("http|://|<script|<link|url\\(|@import", html) == []
    assert all(source.startswith("data:image/png;base64,") for source in re.findall('src="(.*?)"', html))


def test_all_drawings_are_sound(html: str) -> None:
    drawings = re.findall("<svg.*?</svg>", html, re.DOTALL)
    assert len(drawings) > 10
    for drawing in drawings:
        ElementTree.fromstring(drawing)
        assert "nan" not in drawing


def test_with_nothing_to_show_there_is_still_a_page() -> None:
    found = Scores("id", 10, {}, missing={"fid": "fid needs 65 generated rows or more, came 10"})
    html = page.render(found, few(), PICTURES, [])
    assert re.findall("<h2>(.*?)</h", html) == ["Pictures", "All scores", "Nearest training images"]
    assert "<li>fid needs 65 generated rows or more, came 10</li>" in html
    assert "<svg" not in html


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", '"><img src=x>', "{{ 7 * 7 }}"])
def test_names_of_classes_are_text_and_nothing_else(name: str) -> None:
    tables = {"class_accuracies": {name: sure(0.2, 0.1, most=1), "b": sure(1, most=1)}}
    html = page.render(Scores("id", 10, {"class_accuracy": sure(0.8, most=1)}, tables, {"x": name}), few(), PICTURES, [])
    assert "<script" not in html
    assert "<img src" not in html
    assert "49" not in re.findall("<td>(.*?)</td>", html)
    assert html.count("comes out worse than the average") == 1


def test_the_worst_class_comes_first() -> None:
    fids = {"near": sure(1), "far": sure(9)}
    accuracies = {name: sure(value) for name, value in (("unknown", 0.1), ("near", 0.2), ("lost", 0.0), ("far", 0.9))}
    assert list(page.class_rows({"class_accuracies": accuracies})) == ["lost", "unknown", "near", "far"]
    assert list(page.class_rows({"class_fids": fids, "class_accuracies": accuracies})) == ["far", "near", "lost", "unknown"]


def test_a_hundred_classes_and_one_without_a_figure_find_room() -> None:
    names = [f"class {number}" for number in range(100)]
    tables = {
        "class_accuracies": {name: sure(number / 100, 0.01, most=1) for number, name in enumerate(names)},
        "class_fids": {name: sure(number) for number, name in enumerate(names[1:])},
    }
    html = page.render(Scores("id", 10, {}, tables), few(), PICTURES, [])
    assert html.count("<tr><td>class ") == 100
    assert html.count("too few images") == 1


def test_the_trade_off_is_of_each_size_of_neighbourhood() -> None:
    trial = everything(["a"])
    lines = list(csv.DictReader(io.StringIO(page.trade_off_csv(trial))))
    assert [int(line["neighbours"]) for line in lines] == list(NEIGHBOURS)
    found = scores.measure(trial, ["precision_recall"]).values
    three = lines[NEIGHBOURS.index(3)]
    assert float(three["precision"]) == pytest.approx(found["precision"].value)
    assert float(three["recall"]) == pytest.approx(found["recall"].value)
    for name in ("precision", "recall"):
        course = [float(line[name]) for line in lines]
        assert course == sorted(course)


def test_of_too_few_rows_there_is_no_trade_off() -> None:
    assert page.trade_off_csv(few()) == "neighbours,precision,recall\n"


def test_an_interval_of_no_width_is_seen_and_stays_on_its_line() -> None:
    for value in (0.0, 0.5, 1.0):
        bar = plots.bar(sure(value, most=1), (0, 1))
        assert bar.width == plots.LEAST_WIDTH
        assert 0 <= bar.x <= plots.BAR_WIDTH - bar.width
        assert bar.mark == value * plots.BAR_WIDTH


def test_a_scale_holds_all_that_is_drawn_on_it() -> None:
    assert plots.scale([sure(0.3, 0.1, most=1)]) == (0, 1)
    low, high = plots.scale([sure(0.01, 0.05, least=-np.inf), sure(9, corrected=2)])
    assert low < 0
    assert high == 2  # a value with its bias is not on it


def test_points_that_lie_close_together_share_a_label() -> None:
    drawn = plots.plot([(0, 0, ""), (0.01, 0.01, ""), (1, 1, "")], (0, 1), (0, 1), 300, 300)
    assert [mark.label for mark in plots.with_labels(drawn, ["k = 1", "3", "5"]).points] == ["k = 1, 3", "", "5"]


@pytest.mark.parametrize("ends", [(0.0, 1.0), (0.69310, 0.69318), (-2e6, 3e6), (5.0, 5.0), (0.0, 0.0), (1e-7, 3e-7)])
def test_no_two_ticks_of_an_axis_read_the_same(ends: tuple[float, float]) -> None:
    low, high = plots.padded_range(ends)
    labels = [plots.axis_number(value) for value in plots.ticks(low, high, 4)]
    assert 2 <= len(labels) <= 5
    assert len(set(labels)) == len(labels)


def test_curves_leave_out_what_is_no_number_and_thin_what_is_long() -> None:
    lines = [{"step": str(step), "loss": "nan" if step == 1 else "0.5", "spread": ""} for step in range(1, 1001)]
    (curve,) = page.curves(lines).values()
    assert len(curve.points) == page.POINTS
    assert page.curves([]) == {}
    assert len(page.curves(lines[1:2])["loss"].points) == 1


def test_the_picture_of_what_was_told_apart_stands_near_the_top() -> None:
    pictures = {**PICTURES, "told_apart": Image.new("RGB", (8, 8))}
    html = page.render(Scores("id", 10, {}), few(), pictures, [])
    assert re.findall("<h2>(.*?)</h", html)[:2] == ["Told from real images", "Pictures"]
    assert html.count('<img class="told_apart"') == 1


def test_where_an_ideal_model_would_be_is_drawn() -> None:
    estimate = replace(sure(0.4, 0.1, most=1), ideal=0.9)
    assert plots.bar(estimate, (0, 1)).ideal == 0.9 * plots.BAR_WIDTH
    assert plots.bar(sure(0.4, most=1), (0, 1)).ideal is None
    html = page.render(Scores("id", 10, {"recall": estimate}), few(), PICTURES, [])
    assert html.count('class="ideal"') == 1
    assert '<span class="soft">ideal 0.9</span>' in html
