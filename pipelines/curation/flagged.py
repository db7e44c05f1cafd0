"""Images that people flagged by a `report`, which are withheld from generation and training; and rows that are removed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pipelines.curation.credibility import Credibility
from pipelines.curation.events import NO_PICTURE, OVER_RATER_QUOTA, UNKNOWN_ROW, Rejection, reject, screen, select
from pipelines.curation.existing_rows import ExistingRows
from pipelines.curation.images import MeasuredImage, MeasuredImages
from pipelines.curation.quotas import RaterQuota
from pipelines.feedback.events import Event, Report, Sample

# Images of one rater around which nothing is generated; an image that two flag counts for each by half. An image keeps some
# tenths of a percent of what a model generates from being shown: few are what somebody really minded, a thousand nearly all.
WIDE = 20


@dataclass(frozen=True)
class FlaggedImage:
    """events: those that count. image: None for a row of the data. wide: nothing like it is generated either.

    removed: it is a training row of the data, which is removed.
    """

    events: list[Report]
    image: MeasuredImage | None
    wide: bool
    removed: bool


@dataclass(frozen=True)
class Flags:
    """rows: by row_id. quota: what raters may still change in existing rows."""

    rows: dict[str, FlaggedImage]
    quota: RaterQuota
    rejections: list[Rejection]

    @property
    def removed(self) -> list[str]:
        """row_ids of training rows of the data that are removed."""
        return [row_id for row_id, flagged in self.rows.items() if flagged.removed]

    @property
    def images(self) -> list[MeasuredImage]:
        """Generated images and uploads that are flagged."""
        return [flagged.image for flagged in self.rows.values() if flagged.image]


def judge(
    events: Sequence[Event],
    images: MeasuredImages,
    existing: ExistingRows,
    credibility: Credibility,
    experts: Collection[str],
    share: float,
) -> Flags:
    """A flag on a generated image always counts: that image is not generated again. For more its rater must be credible, and
    have room in two quotas: to remove a row, and to keep what looks like the image from being generated.

    Args:
        experts: raters whose flags always reach that far.
        share: of the rows that one rater may change.
    """
    generated, uploaded = (
        {image.row_id: image for key, image in images.items() if isinstance(key, kind) and image.rejection is None}
        for kind in (Sample, str)
    )
    by_row, rejections = classify(select(events, Report), images, {*generated, *uploaded, *existing.rows})
    train = existing.train
    quota = RaterQuota(share * train.total(), {label: share * count for label, count in train.items()})
    wide_quota = RaterQuota(WIDE)
    rows = {}
    for row_id, flags in by_row.items():
        credible, incredible = screen(flags, credibility.reason)
        raters = {event.rater for event in credible}
        granted = (row_id in existing.rows or row_id in uploaded) and quota.take(raters, existing.label(row_id))
        if row_id not in generated:
            rejections += incredible
            if not granted:
                rejections += reject(credible, OVER_RATER_QUOTA)
                continue
        rows[row_id] = FlaggedImage(
            events=flags if row_id in generated else credible,
            image=generated.get(row_id) or uploaded.get(row_id),
            wide=not raters.isdisjoint(experts) or wide_quota.take(raters),
            removed=granted and row_id in existing.rows and not existing.rows[row_id].held_out,
        )
    return Flags(rows, quota, rejections)


def classify(
    flags: Sequence[Report], images: MeasuredImages, flaggable: Collection[str]
) -> tuple[dict[str, list[Report]], list[Rejection]]:
    """The flags by the row_id of what they flag, one of `flaggable`, and the rejected ones."""

    def row(flag: Report) -> str:
        """Empty where there is no image."""
        return flag.row or (images[flag.sample].row_id if flag.sample in images else "")

    def reason(flag: Report) -> str | None:
        if row(flag) in flaggable:
            return None
        return UNKNOWN_ROW if row(flag) else NO_PICTURE

    usable, rejections = screen(flags, reason)
    by_row: dict[str, list[Report]] = defaultdict(list)
    for flag in usable:
        by_row[row(flag)].append(flag)
    return by_row, rejections
