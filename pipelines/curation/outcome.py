"""What all of it comes to, and its figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.core import reports
from pipelines.curation.candidates import Candidate
from pipelines.curation.credibility import Belief
from pipelines.curation.events import Said
from pipelines.curation.existing_rows import Dataset
from pipelines.curation.flagged import Reported
from pipelines.curation.images import Looks
from pipelines.curation.label_corrections import Correction
from pipelines.curation.rejections import Aside
from pipelines.feedback.events import Sample


@dataclass(frozen=True)
class Outcome:
    """sent, liked: every picture that was sent, and every one that was drawn and is liked; those not refused are rows.
    corrected: by row_id, of rows of the data and of those that were sent. train: training rows of the data for each label, as
    changed. places: for each label, how many drawn rows there may be.
    """

    said: Said
    looks: Looks
    there: Dataset
    belief: Belief
    reported: Reported
    sent: list[Candidate]
    liked: list[Candidate]
    corrected: dict[str, Correction]
    train: Counter[int | None]
    places: Mapping[int | None, int]
    aside: Aside
    experts: Collection[str]

    @property
    def rows(self) -> list[Candidate]:
        return [candidate for candidate in (*self.sent, *self.liked) if candidate.refused is None]

    @property
    def refused(self) -> list[Candidate]:
        return [candidate for candidate in (*self.sent, *self.liked) if candidate.refused is not None]

    @property
    def samples(self) -> dict[Sample, float]:
        """Those that are judged, and how probable it is that it is right to like them."""
        return self.belief.liked

    @property
    def generation(self) -> int:
        return max((row.look.generation for row in self.rows), default=0)


def figures(found: Outcome) -> dict[str, Any]:
    """What data/reports/feedback.json says. rows_in = rows_out + refused: no picture vanishes."""
    refused = Counter(candidate.refused or "" for candidate in found.refused)
    sent = sum(row.sent for row in found.rows)
    drawn = len(found.rows) - sent
    return {
        "events": len(found.said.events),
        "raters": len(found.said.raters),
        "votes": len(found.said.votes),
        "votes_set_aside": found.aside.votes,
        "choices": len(found.said.choices),
        "samples": len(found.samples),
        "samples_liked": len(found.liked),
        "uploads": len(found.sent),
        "rows_generated": drawn,
        "rows_uploaded": sent,
        "share_generated": drawn / max(drawn + sent + found.train.total(), 1),
        "generation": found.generation,
        "labels_corrected": len(found.corrected),
        "rows_removed": len(found.reported.removed),
        "reported": len(found.reported.rows),
        **reports.rows(len(found.sent) + len(found.liked), len(found.rows), dict(sorted(refused.items()))),
    }
