"""What `evaluate` prints, on the terminal and on its page: each score within the interval beside it."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import score
from pipelines import catalogue, evaluate
from pipelines.core import reports
from pipelines.evaluation import page, summary
from pipelines.metrics.intervals import Estimate
from pipelines.scoring.scores import Scores
from tests.metrics.trials import trial

PICTURES = {name: Image.new("RGB", (8, 8)) for name in ("samples", "real", "neighbours")}
NUMBER = r"-?[\d,.]+(?:e[+-]?\d+)?"
TERMINAL = re.compile(rf"({NUMBER}), 95% interval ({NUMBER}) to ({NUMBER})")
IN_BRACKETS = re.compile(rf"({NUMBER})(?: of 100[^(.\d]*)? \(({NUMBER}) to ({NUMBER})\)")
IN_TABLE = re.compile(
    rf'<td>({NUMBER})</td>(?:<td><svg.*?</svg></td>)?<td><span class="number">({NUMBER}) to ({NUMBER})<', re.DOTALL
)
IN_TILE = re.compile(rf'<b>({NUMBER})</b><span class="number">({NUMBER}) to ({NUMBER})<')


def made_up(seed: int) -> Scores:
    """Every score, of any size, with a bias that may be larger than its interval."""
    random = np.random.default_rng(seed)

    def estimate(name: str) -> Estimate:
        most = 1.0 if random.random() < 0.5 else math.inf
        size = min(10.0 ** int(random.integers(-4, 5)), most)
        generated, real = random.normal(size=(2, 20)) * size * random.choice([1e-3, 0.02, 0.3])
        corrected, ideal = size * random.uniform(0, 1.1, 2)
        ideal = None if random.random() < 0.3 else ideal
        return Estimate(corrected * 5, corrected, generated, real, np.zeros((3, 0)), 0.0, most, ideal)

    declared = catalogue.scores()
    values = {name: estimate(name) for name, one in declared.items() if not one.by_class}
    tables = {name: {label: estimate(name) for label in "abc"} for name, one in declared.items() if one.by_class}
    return Scores("id", 1500, values, tables)


def check(found: list[tuple[str, str, str]], at_least: int) -> None:
    assert len(found) >= at_least
    for text in found:
        value, low, high = (float(number.rstrip(".,").replace(",", "")) for number in text)
        assert low <= value <= high, text


@pytest.mark.parametrize("seed", range(8))
def test_each_number_lies_within_the_interval_printed_beside_it(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = made_up(seed)
    singles = len(found.values) - 1  # fid_floor is shown as an ideal alone
    lines = "\n".join(evaluate.lines(found))
    check(TERMINAL.findall(lines), singles)
    check(IN_BRACKETS.findall(lines), 0)
    html = page.render(found, trial(np.zeros((10, 4)), np.zeros((10, 4))), PICTURES, [])
    check(IN_TABLE.findall(html), singles + 3 * len(found.tables))
    check(IN_TILE.findall(html), 5)
    check(IN_BRACKETS.findall(html), 1)
    score.show(found, "a", "b")
    rows = re.findall(rf"^\S+ +({NUMBER}) +({NUMBER}) to ({NUMBER})", capsys.readouterr().out, re.MULTILINE)
    check(rows, singles + 3 * len(found.tables))


@pytest.mark.parametrize("seed", range(8))
def test_no_score_has_more_than_three_digits(seed: int) -> None:
    for number in re.findall(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?", "\n".join(evaluate.lines(made_up(seed)))):
        digits = re.sub(r"e.*|[,.]", "", number).strip("0")
        assert len(digits) <= 3, number


def test_the_same_is_said_from_the_reports_of_a_run(tmp_path: Path) -> None:
    found = made_up(3)
    reports.write(tmp_path, "metrics", found.flat())
    (tmp_path / "classes.csv").write_text(evaluate.class_table(found, ["a", "b", "c"]))
    *lines, _ = (line for line in evaluate.lines(found))
    assert lines[: len(summary.headline(summary.read(tmp_path)))] == summary.headline(summary.read(tmp_path))
