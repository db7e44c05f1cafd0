"""What came of each turn: figures, table and picture."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd
import pytest
from PIL import Image

from pipelines.simulation import chart
from pipelines.simulation.turns import Turn, records, table, wilson

BEFORE = Turn(
    turn=0, version=1, approval=0.5, approval_low=0.47, approval_high=0.53, fid=5.0, fid_low=4.5, fid_high=5.5, recall=0.8,
    coverage=0.9, least=0.95, greatest=1.05, generated=0, effective=1.0, votes=0, set_aside=None, set_aside_honest=None,
    set_aside_spammer=None, set_aside_attacker=None, seconds=12.3456789,
)  # fmt: skip
AFTER = replace(BEFORE, turn=1, version=2, approval=2 / 3, votes=2000, set_aside=0.01, generated=300)


def test_a_share_has_wilson_s_interval() -> None:
    """Of none of 10 the formula comes to z² / (10 + z²) at the most."""
    z = 1.959963985
    assert wilson(0, 10) == pytest.approx((0, 0, z**2 / (10 + z**2)))
    assert wilson(10, 10) == pytest.approx((1, 10 / (10 + z**2), 1))
    assert wilson(1500, 2000).value == 0.75


def test_the_table_reads_back() -> None:
    found = pd.read_csv(io.StringIO(table([BEFORE, AFTER])))
    assert list(found["turn"]) == [0, 1]
    assert found["approval"][1] == pytest.approx(2 / 3, abs=1e-6)
    assert found["set_aside"].isna().tolist() == [True, False]
    assert records([BEFORE])[0]["seconds"] == 12.3457
    assert records([BEFORE])[0]["set_aside"] is None


@pytest.mark.parametrize(
    "turns", [[BEFORE], [BEFORE, AFTER], [replace(BEFORE, fid=None, fid_low=None, fid_high=None, least=None)]]
)
def test_the_picture_is_one_whatever_was_measured(turns: list[Turn]) -> None:
    picture = Image.open(io.BytesIO(chart.png(turns, 0.5)))
    assert picture.format == "PNG"
    assert min(picture.size) > 500
