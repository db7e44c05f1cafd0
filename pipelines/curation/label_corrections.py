"""Corrections of labels: which label people give a row, and whether that changes it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipelines.curation.candidates import RowCandidate, accepted
from pipelines.curation.credibility import Credibility
from pipelines.curation.events import OVER_RATER_QUOTA, UNKNOWN_LABEL, UNKNOWN_ROW, Rejection, reject, screen, select
from pipelines.curation.existing_rows import ExistingRows
from pipelines.curation.flagged import Flags
from pipelines.feedback.events import Event, Label

TIE = 1e-9  # sums of reliabilities that are nearer than this are equal


@dataclass(frozen=True)
class Correction:
    """The right label, and the events that support it."""

    label: int
    events: list[Label]


@dataclass(frozen=True)
class Corrections:
    """rows: by row_id, of training rows of the data and of uploads that became rows."""

    rows: dict[str, Correction]
    rejections: list[Rejection]


def judge(
    events: Sequence[Event], existing: ExistingRows, uploads: Sequence[RowCandidate], flagged: Flags, credibility: Credibility
) -> Corrections:
    """A rater's last label of a row counts, by the rater's reliability. The label with the greatest sum wins; a tie changes
    nothing.

    Args:
        uploads: those that were not rejected become rows, too.
        flagged: the rows that it removes are not corrected, and its quota bounds corrections too.
    """
    removed = set(flagged.removed)
    current = {row_id: row.label for row_id, row in existing.rows.items() if not row.held_out and row_id not in removed}
    current |= {upload.image.row_id: upload.label for upload in accepted(uploads)}
    by_row, unusable = classify(select(events, Label), existing, set(current), removed, credibility)
    winners, outvoted = weigh(by_row, credibility)
    changed = {row_id: correction for row_id, correction in winners.items() if correction.label != current[row_id]}
    rows, over_quota = bound(changed, existing, flagged)
    return Corrections(rows, [*unusable, *outvoted, *over_quota])


def classify(
    labels: Sequence[Label], existing: ExistingRows, current: set[str], removed: set[str], credibility: Credibility
) -> tuple[dict[str, list[Label]], list[Rejection]]:
    """The events that count, by row_id, and the others; `current` are the rows that can be corrected."""
    last = {(event.rater, event.row): event.id for event in labels}

    def reason(event: Label) -> str | None:
        if last[event.rater, event.row] != event.id:
            return "replaced"
        if event.row in existing.rows and existing.rows[event.row].held_out:
            return "held out"
        if event.row in removed:
            return "row is removed"
        if event.row not in current:
            return UNKNOWN_ROW
        if event.label >= len(existing.classes):
            return UNKNOWN_LABEL
        return credibility.reason(event)

    usable, rejections = screen(labels, reason)
    by_row: dict[str, list[Label]] = defaultdict(list)
    for event in usable:
        by_row[event.row].append(event)
    return by_row, rejections


def weigh(by_row: dict[str, list[Label]], credibility: Credibility) -> tuple[dict[str, Correction], list[Rejection]]:
    """The label of each row that has the greatest sum of reliabilities, and the events that gave it another one."""
    winners, rejections = {}, []
    for row_id, events in by_row.items():
        sums: dict[int, float] = defaultdict(float)
        for event in events:
            sums[event.label] += credibility.reliability[event.rater]
        best, *rest = sorted(sums, key=lambda label: -sums[label])
        if rest and sums[best] - sums[rest[0]] < TIE:
            rejections += reject(events, "tie")
            continue
        winners[row_id] = Correction(best, [event for event in events if event.label == best])
        rejections += reject([event for event in events if event.label != best], "outvoted")
    return winners, rejections


def bound(
    changed: dict[str, Correction], existing: ExistingRows, flagged: Flags
) -> tuple[dict[str, Correction], list[Rejection]]:
    """The corrections for which a rater who supports them has room, and the events of the others."""
    quota, rows, rejections = flagged.quota.copy(), {}, []
    for row_id, correction in changed.items():
        if quota.take((event.rater for event in correction.events), existing.label(row_id)):
            rows[row_id] = correction
        else:
            rejections += reject(correction.events, OVER_RATER_QUOTA)
    return rows, rejections


def apply(corrections: Corrections, uploads: Sequence[RowCandidate]) -> list[RowCandidate]:
    """Uploads, with the labels of those that became rows corrected."""

    def corrected(upload: RowCandidate) -> RowCandidate:
        correction = corrections.rows.get(upload.image.row_id)
        if correction is None or upload.rejection is not None:
            return upload
        return replace(upload, label=correction.label, events=[*upload.events, *correction.events])

    return [corrected(upload) for upload in uploads]


def count(existing: ExistingRows, removed: Sequence[str], corrections: Corrections) -> Counter[int | None]:
    """How many training rows of each label the data then has."""
    train = existing.train.copy()
    corrected = {row_id: one.label for row_id, one in corrections.rows.items() if row_id in existing.rows}
    train.subtract(existing.label(row_id) for row_id in (*removed, *corrected))
    train.update(corrected.values())
    return train
