"""Rows whose class was wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from pipelines.curation.candidates import Candidate
from pipelines.curation.credibility import Belief
from pipelines.curation.existing_rows import Dataset
from pipelines.curation.quotas import Parts
from pipelines.curation.rejections import NOT_BELIEVED, OVER_PART, UNKNOWN_LABEL, UNKNOWN_ROW, Aside
from pipelines.feedback.events import Label

TIE = 1e-9  # sums of reliabilities that are nearer than this are equal


@dataclass(frozen=True)
class Correction:
    """The right label, and who says so."""

    label: int
    events: list[Label]


def judge(
    labels: Sequence[Label],
    there: Dataset,
    uploads: Mapping[str, Candidate],
    gone: Collection[str],
    belief: Belief,
    parts: Parts,
    aside: Aside,
) -> dict[str, Correction]:
    """By row_id, of training rows of the data and of uploads that became rows.

    A rater's last word on a row counts, as much as the rater is believed. The label with the greatest sum wins; two of them
    change nothing.

    Args:
        uploads: those that became rows, by row_id.
        gone: row_ids of rows that were taken away.
    """
    now = {row_id: row.label for row_id, row in there.rows.items() if not row.held_out and row_id not in gone}
    now |= {row_id: upload.label for row_id, upload in uploads.items()}
    held_out = {row_id for row_id, row in there.rows.items() if row.held_out}
    last = {(event.rater, event.row): event.id for event in labels}
    by_row: dict[str, list[Label]] = {}
    for event in labels:
        if last[event.rater, event.row] != event.id:
            aside.add(event, "replaced")
        elif event.row in held_out:
            aside.add(event, "held out")
        elif event.row in gone:
            aside.add(event, "row is removed")
        elif event.row not in now:
            aside.add(event, UNKNOWN_ROW)
        elif event.label >= len(there.classes):
            aside.add(event, UNKNOWN_LABEL)
        elif not belief.believes(event.rater):
            aside.add(event, NOT_BELIEVED)
        else:
            by_row.setdefault(event.row, []).append(event)
    found = {}
    for row_id, events in by_row.items():
        label = winner(events, belief)
        for event in events:
            if event.label != label:
                aside.add(event, "tie" if label is None else "outvoted")
        backing = [event for event in events if event.label == label]
        if label is None or label == now[row_id]:
            continue
        row = there.rows.get(row_id)
        if parts.take((event.rater for event in backing), row.label if row else None):
            found[row_id] = Correction(label, backing)
        else:
            aside.add_all(backing, OVER_PART)
    return found


def winner(events: Sequence[Label], belief: Belief) -> int | None:
    sums: dict[int, float] = defaultdict(float)
    for event in events:
        sums[event.label] += belief.reliability[event.rater]
    best, *others = sorted(sums, key=lambda label: -sums[label])
    return None if others and sums[best] - sums[others[0]] < TIE else best
