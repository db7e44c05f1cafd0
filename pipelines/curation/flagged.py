"""What people reported: pictures that must not be drawn again nor learned from, and rows of the data that go."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from pipelines.curation.credibility import Belief
from pipelines.curation.existing_rows import Dataset
from pipelines.curation.images import Look, Looks
from pipelines.curation.quotas import Parts
from pipelines.curation.rejections import NO_PICTURE, NOT_BELIEVED, OVER_PART, UNKNOWN_ROW, Aside
from pipelines.feedback.events import Report

# Pictures of one rater around which nothing is drawn; what two report counts for each by half. A picture keeps some tenths of a
# percent of what a model draws from being shown: few are what somebody really minded, a thousand nearly all there is.
REACHING = 20


@dataclass(frozen=True)
class Reported:
    """rows: row_id -> the reports that count. looks: those pictures of them that were drawn or sent. removed: those of them
    that are training rows of the data. wide: those around which nothing is drawn either."""

    rows: dict[str, list[Report]] = field(default_factory=dict)
    wide: set[str] = field(default_factory=set)
    looks: list[Look] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def judge(
    reports: Sequence[Report],
    looks: Looks,
    there: Dataset,
    belief: Belief,
    experts: Collection[str],
    parts: Parts,
    aside: Aside,
) -> Reported:
    """A report of what was drawn always counts: that picture is not drawn again. For more, its rater must be believed, and have
    room: to take a row away, and to keep what looks like the picture from being drawn.

    Args:
        experts: raters whose reports always reach that far.
        parts: of rows that one rater can take away.
    """
    reaching = Parts(REACHING)
    drawn = {look.row_id: look for look in looks.samples.values() if look.refused is None}
    sent = {look.row_id: look for look in looks.uploads.values() if look.refused is None}
    found = Reported()
    for row_id, events in of_rows(reports, looks, {*drawn, *sent, *there.rows}, aside).items():
        believed = [event for event in events if belief.believes(event.rater)]
        people = {event.rater for event in believed}
        row = there.rows.get(row_id)
        taken = bool(people) and (row is not None or row_id in sent) and parts.take(people, row.label if row else None)
        if row_id in drawn:
            found.rows[row_id] = events
        else:
            aside.add_all([event for event in events if event not in believed], NOT_BELIEVED)
            if not taken:
                aside.add_all(believed, OVER_PART)
                continue
            found.rows[row_id] = believed
        if people & set(experts) or (people and reaching.take(people)):
            found.wide.add(row_id)
        if look := drawn.get(row_id) or sent.get(row_id):
            found.looks.append(look)
        if taken and row_id in there.rows and not there.rows[row_id].held_out:
            found.removed.append(row_id)
    return found


def of_rows(reports: Sequence[Report], looks: Looks, known: Collection[str], aside: Aside) -> dict[str, list[Report]]:
    """By row_id, that of the picture where a sample is reported."""
    found: dict[str, list[Report]] = {}
    for report in reports:
        row_id = report.row
        if report.sample:
            look = looks.samples.get(report.sample)
            row_id = look.row_id if look and look.refused is None else None
        if row_id is None:
            aside.add(report, NO_PICTURE)
        elif row_id not in known:
            aside.add(report, UNKNOWN_ROW)
        else:
            found.setdefault(row_id, []).append(report)
    return found
