"""What the stages say of the feedback so far: how much of it counts, and what it has changed."""

from __future__ import annotations

import csv
from collections import Counter
from typing import Any

from pipelines.core import paths, reports
from pipelines.feedback.events import TYPES
from pipelines.simulation import raters


def read() -> dict[str, Any]:
    """The fields of a Turn that `curate` and `approval` report."""
    feedback, approval = reports.read("feedback"), reports.read("approval")
    votes, aside = of_kinds()
    return {
        "generated": feedback["rows_generated"],
        "effective": approval.get("effective_share", 1.0),
        "set_aside": feedback["votes_set_aside"] / feedback["votes"] if feedback["votes"] else None,
        **{
            f"set_aside_{kind}": aside[kind] / votes[kind] if votes[kind] else None
            for kind in ("honest", "spammer", "attacker")
        },
    }


def of_kinds() -> tuple[Counter[str], Counter[str]]:
    """Votes of the raters of each kind, and how many of them were set aside, by data/reports/raters.csv."""
    votes: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    with (paths.REPORTS / "raters.csv").open(newline="", encoding="utf-8") as file:
        for rater in csv.DictReader(file):
            kind = raters.kind_of(rater["rater"])
            votes[kind] += int(rater["votes"])
            aside[kind] += votes_in(rater["set_aside"])
    return votes, aside


def votes_in(words: str) -> int:
    """How many votes are among what was set aside: "burst: 12; report, unknown row: 3" -> 12."""
    parts = (part.rpartition(": ") for part in words.split("; ") if part)
    return sum(int(count) for reason, _, count in parts if reason.partition(", ")[0] not in TYPES)
