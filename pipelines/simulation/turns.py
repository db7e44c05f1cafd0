"""What came of each turn: a table, for people and for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple


class Share(NamedTuple):
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Turn:
    """Turn 0 is the model before anybody has voted. None: the project does not measure it, or there was nothing to measure.

    approval: share of fresh samples that the taste itself likes, with Wilson's 95% interval.
    fid, recall, coverage: of data/reports/metrics.json.
    least, greatest: over all classes, share of the drawn images that the classifier takes for it over the share asked for.
    generated: rows of drawn images that the model was trained on, beside the real ones.
    effective: effective share of the real rows, as approval has weighted them; 1 where it changed nothing.
    votes: of this turn. set_aside: share of all votes so far, those of honest raters and attackers apart.
    seconds: that the turn took.
    """

    turn: int
    version: int
    approval: float
    approval_low: float
    approval_high: float
    fid: float | None
    fid_low: float | None
    fid_high: float | None
    recall: float | None
    coverage: float | None
    least: float | None
    greatest: float | None
    generated: int
    effective: float
    votes: int
    set_aside: float | None
    set_aside_honest: float | None
    set_aside_spammer: float | None
    set_aside_attacker: float | None
    seconds: float


def wilson(liked: int, judged: int) -> Share:
    """With Wilson's 95% interval ("Probable inference, the law of succession, and statistical inference", 1927)."""
    from scipy.stats import binomtest  # takes a second

    low, high = binomtest(liked, judged).proportion_ci(0.95, "wilson")
    return Share(liked / judged, float(low), float(high))


def table(turns: Sequence[Turn]) -> str:
    """CSV, a line each; empty where there is no figure."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Turn)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(records(turns))
    return text.getvalue()


def records(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Six digits: what lies beyond is noise."""
    return [
        {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in asdict(turn).items()}
        for turn in turns
    ]
