"""The figures of each turn, and the table of them, for people and for programs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.core import reports
from pipelines.core.project import Project
from pipelines.metrics import intervals
from pipelines.registry.client import Registry
from pipelines.simulation import samples
from pipelines.simulation.judge import Judge
from pipelines.simulation.raters import KINDS, kind_of
from pipelines.simulation.samples import TurnImages
from pipelines.simulation.settings import Simulation


@dataclass(frozen=True)
class Turn:
    """Turn 0 is the model before anybody has voted. None: the project does not measure it, or there was nothing to measure.

    approval: share of fresh samples that the taste itself likes, with Wilson's 95% interval.
    fid, recall, coverage: of data/reports/metrics.json; fid_unbiased lies between fid_low and fid_high.
    least, greatest: over all classes, share of the images that the classifier takes for it over the share asked for.
    generated: rows of generated images that the model was trained on, beside the real ones.
    effective: effective share of the real rows, as approval has weighted them; 1 where it changed nothing.
    votes: of this turn. set_aside: share of all votes so far that were rejected; and of those of each kind of rater.
    seconds: that the turn took.
    """

    turn: int
    version: int
    approval: float
    approval_low: float
    approval_high: float
    fid: float | None
    fid_unbiased: float | None
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


def measure(
    copy: Project, registry: Registry, settings: Simulation, number: int, judge: Judge, start_time: float
) -> tuple[Turn, TurnImages]:
    """The champion, by the reports of the stages and by samples that nobody has voted on, which are returned too.

    start_time: of the turn, by time.monotonic().
    """
    fresh = samples.generate(registry, settings, 0, settings.fresh)
    approval = float(judge.likes(fresh.images, fresh.labels).mean())
    low, high = intervals.wilson(approval, len(fresh.images))
    least, greatest = judge.balance(fresh.images, fresh.labels) if fresh.classes else (None, None)
    scores = reports.read(copy.reports, "metrics")
    names = ("fid", "fid_unbiased", "fid_low", "fid_high", "recall", "coverage")
    reported: dict[str, Any] = {name: scores.get(name) for name in names}
    turn = Turn(
        turn=number,
        version=fresh.version,
        approval=approval,
        approval_low=low,
        approval_high=high,
        **reported,
        least=least,
        greatest=greatest,
        **effects(copy.reports),
        votes=settings.votes if number else 0,
        seconds=time.monotonic() - start_time,
    )
    return turn, fresh


def effects(folder: Path) -> dict[str, Any]:
    """The fields of a Turn by the reports of `curate` and `approval`: how much of the votes counts, and what it changed."""
    feedback, approval = reports.read(folder, "feedback"), reports.read(folder, "approval")
    raters = pd.read_csv(folder / "raters.csv")
    counts = raters.groupby(raters["rater"].map(kind_of))[["votes", "votes_set_aside"]].sum().reindex(KINDS, fill_value=0)
    return {
        "generated": feedback["rows_generated"],
        "effective": approval.get("effective_share", 1.0),
        "set_aside": feedback["votes_set_aside"] / feedback["votes"] if feedback["votes"] else None,
        **{f"set_aside_{kind}": rejected / votes if votes else None for kind, votes, rejected in counts.itertuples()},
    }


def table(turns: Sequence[Turn]) -> str:
    """CSV, a line each; empty where there is no figure."""
    return pd.DataFrame(records(turns)).to_csv(index=False, lineterminator="\n")


def records(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Six digits: what lies beyond is noise."""
    return [
        {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in asdict(turn).items()}
        for turn in turns
    ]
