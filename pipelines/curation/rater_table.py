"""Of each rater: what they said, how far they are believed, and what of it was set aside."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import astuple, dataclass, fields

from pipelines.curation.outcome import Outcome


@dataclass(frozen=True)
class Rater:
    """weight: share of the weight of all votes. set_aside: as in "burst: 12; copy: 3"."""

    rater: str
    votes: int
    choices: int
    uploads: int
    labels: int
    reports: int
    weight: float
    reliability: float
    set_aside: str

    @property
    def events(self) -> int:
        return self.votes + self.choices + self.uploads + self.labels + self.reports


def table(found: Outcome) -> list[Rater]:
    """Sorted by name."""
    number = Counter[tuple[str, str]]((event.rater, event.type) for event in found.said.events)
    return [
        Rater(
            rater=rater,
            votes=number[rater, "vote"],
            choices=number[rater, "choice"],
            uploads=number[rater, "upload"],
            labels=number[rater, "label"],
            reports=number[rater, "report"],
            weight=round(found.belief.share[rater], 6),
            reliability=round(found.belief.reliability[rater], 4),
            set_aside=found.aside.words(rater),
        )
        for rater in found.said.raters
    ]


def as_csv(raters: list[Rater]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Rater)])
    writer.writerows(map(astuple, raters))
    return text.getvalue()
