"""The outcome of `curate`: what every step found, the changes of the data that follow, and their figures, by rater too."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from typing import Any

from pipelines.core import reports
from pipelines.curation.candidates import RowCandidate, accepted
from pipelines.curation.credibility import Credibility
from pipelines.curation.events import Rejection, raters, reject
from pipelines.curation.existing_rows import ExistingRows
from pipelines.curation.flagged import Flags
from pipelines.curation.images import MeasuredImages
from pipelines.curation.label_corrections import Corrections
from pipelines.feedback.events import Event


@dataclass(frozen=True, kw_only=True)
class CurationOutcome:
    """candidates: every upload, and every generated image that is liked; those that are not rejected become rows.

    train: training rows of the data for each label, as changed. quotas: for each label, how many generated rows there may be.
    """

    events: list[Event]
    images: MeasuredImages
    existing: ExistingRows
    credibility: Credibility
    flagged: Flags
    corrections: Corrections
    candidates: list[RowCandidate]
    train: Counter[int | None]
    quotas: Mapping[int | None, int]

    @property
    def rows(self) -> list[RowCandidate]:
        return accepted(self.candidates)

    @property
    def rejected(self) -> list[RowCandidate]:
        return [candidate for candidate in self.candidates if candidate.rejection is not None]

    @cached_property
    def rejections(self) -> list[Rejection]:
        """Of events, by all steps."""
        uploads = [candidate for candidate in self.rejected if candidate.uploaded]
        return [
            *self.credibility.rejections,
            *self.flagged.rejections,
            *self.corrections.rejections,
            *(one for upload in uploads for one in reject(upload.events, str(upload.rejection))),
        ]

    @property
    def generation(self) -> int:
        return max((row.image.generation for row in self.rows), default=0)


def figures(outcome: CurationOutcome) -> dict[str, Any]:
    """The content of data/reports/feedback.json. rows_in = rows_out + refused: no image vanishes."""
    refused = Counter(str(candidate.rejection) for candidate in outcome.rejected)
    rows, candidates = outcome.rows, outcome.candidates
    events = Counter(event.type for event in outcome.events)
    uploaded = sum(row.uploaded for row in rows)
    generated = len(rows) - uploaded
    return {
        "events": events.total(),
        "raters": len(raters(outcome.events)),
        "votes": events["vote"],
        "votes_set_aside": sum(rejection.event.type == "vote" for rejection in outcome.rejections),
        "choices": events["choice"],
        "samples": len(outcome.credibility.liked),
        "samples_liked": sum(not candidate.uploaded for candidate in candidates),
        "uploads": sum(candidate.uploaded for candidate in candidates),
        "rows_generated": generated,
        "rows_uploaded": uploaded,
        "share_generated": generated / max(len(rows) + outcome.train.total(), 1),
        "generation": outcome.generation,
        "labels_corrected": len(outcome.corrections.rows),
        "rows_removed": len(outcome.flagged.removed),
        "reported": len(outcome.flagged.rows),
        **reports.row_counts(len(candidates), len(rows), dict(sorted(refused.items()))),
    }


@dataclass(frozen=True)
class RaterLine:
    """A rater's number of events of each type. weight: share of the weight of all votes.

    set_aside: all rejections, as in "burst: 12; copy: 3", the most frequent reason first.
    """

    rater: str
    votes: int
    choices: int
    uploads: int
    labels: int
    reports: int
    weight: float
    reliability: float
    set_aside: str
    votes_set_aside: int

    @property
    def events(self) -> int:
        return self.votes + self.choices + self.uploads + self.labels + self.reports


def rater_table(outcome: CurationOutcome) -> list[RaterLine]:
    """Sorted by name."""
    number = Counter((event.rater, event.type) for event in outcome.events)
    rejected_votes = Counter(event.rater for event, _ in outcome.rejections if event.type == "vote")
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for event, reason in outcome.rejections:
        reasons[event.rater][reason if event.type == "vote" else f"{event.type}, {reason}"] += 1
    return [
        RaterLine(
            rater=rater,
            votes=number[rater, "vote"],
            choices=number[rater, "choice"],
            uploads=number[rater, "upload"],
            labels=number[rater, "label"],
            reports=number[rater, "report"],
            weight=round(outcome.credibility.share[rater], 6),
            reliability=round(outcome.credibility.reliability[rater], 4),
            set_aside="; ".join(f"{why}: {-less}" for less, why in sorted((-n, why) for why, n in reasons[rater].items())),
            votes_set_aside=rejected_votes[rater],
        )
        for rater in raters(outcome.events)
    ]


def as_csv(lines: list[RaterLine]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(RaterLine)])
    writer.writerows(map(astuple, lines))
    return text.getvalue()
