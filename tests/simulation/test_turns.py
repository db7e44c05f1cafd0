"""The figures of each turn, the effect of the votes by the reports of the stages, the table and the plot."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from pipelines.core import reports
from pipelines.metrics import intervals
from pipelines.simulation import output
from pipelines.simulation.turns import Turn, effects, records, table

BEFORE = Turn(
    turn=0, version=1, approval=0.5, approval_low=0.47, approval_high=0.53, fid=9.0, fid_unbiased=5.0, fid_low=4.5,
    fid_high=5.5, recall=0.8, coverage=0.9, least=0.95, greatest=1.05, generated=0, effective=1.0, votes=0, set_aside=None,
    set_aside_honest=None, set_aside_spammer=None, set_aside_attacker=None, seconds=12.3456789,
)  # fmt: skip
AFTER = replace(BEFORE, turn=1, version=2, approval=2 / 3, votes=2000, set_aside=0.01, generated=300)


def test_a_share_has_wilson_s_interval() -> None:
    """Of none of 10 the formula comes to z² / (10 + z²) at the most."""
    z = 1.959963985
    assert intervals.wilson(0, 10) == pytest.approx((0, z**2 / (10 + z**2)))
    assert intervals.wilson(1, 10) == pytest.approx((10 / (10 + z**2), 1))
    low, high = intervals.wilson(0.75, 2000)
    assert low < 0.75 < high


def test_the_table_reads_back() -> None:
    found = pd.read_csv(io.StringIO(table([BEFORE, AFTER])))
    assert list(found["turn"]) == [0, 1]
    assert found["approval"][1] == pytest.approx(2 / 3, abs=1e-6)
    assert found["set_aside"].isna().tolist() == [True, False]
    assert records([BEFORE])[0]["seconds"] == 12.3457
    assert records([BEFORE])[0]["set_aside"] is None


UNMEASURED = replace(BEFORE, fid=None, fid_unbiased=None, fid_low=None, fid_high=None, least=None)


@pytest.mark.parametrize("turns", [[BEFORE], [BEFORE, AFTER], [UNMEASURED]])
def test_the_picture_is_one_whatever_was_measured(turns: list[Turn]) -> None:
    picture = Image.open(io.BytesIO(output.plot(turns, 0.5)))
    assert picture.format == "PNG"
    assert min(picture.size) > 500


def test_rejected_votes_are_counted_by_the_kind_of_rater(tmp_path: Path) -> None:
    reports.write(tmp_path, "feedback", {"rows_generated": 7, "votes": 100, "votes_set_aside": 25})
    reports.write(tmp_path, "approval", {"effective_share": 0.5})
    (tmp_path / "raters.csv").write_text(
        "rater,votes,set_aside,votes_set_aside\n"
        'honest-1,40,"replaced: 4; report, unknown row: 9",4\n'
        "honest-2,40,replaced: 1,1\n"
        'attacker-1,20,"burst: 15; gold: 5",20\n'
    )
    assert effects(tmp_path) == {
        "generated": 7,
        "effective": 0.5,
        "set_aside": 0.25,
        "set_aside_honest": 5 / 80,
        "set_aside_spammer": None,
        "set_aside_attacker": 1.0,
    }


def test_before_any_vote_there_is_no_share(tmp_path: Path) -> None:
    reports.write(tmp_path, "feedback", {"rows_generated": 0, "votes": 0, "votes_set_aside": 0})
    reports.write(tmp_path, "approval", {})
    (tmp_path / "raters.csv").write_text("rater,votes,set_aside,votes_set_aside\n")
    found = effects(tmp_path)
    assert found["effective"] == 1.0
    assert [found[name] for name in found if name.startswith("set_aside")] == [None] * 4
