"""How many rows become of feedback: the quota of one rater, and the quota of generated rows in one class."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.curation.candidates import RowCandidate, reject
from pipelines.curation.events import OVER_RATER_QUOTA

ROUNDING = 1e-9


@dataclass
class RaterQuota:
    """How many rows one rater may move.

    total: of all rows. of_class: by label, of the rows of that class; without it one rater could move a whole class, which is a
    small share of all rows. moved: rows, and fractions of rows, that each rater has moved.
    """

    total: float
    of_class: Mapping[int | None, float] = field(default_factory=dict)
    moved: Counter[str] = field(default_factory=Counter)
    moved_of_class: Counter[tuple[str, int | None]] = field(default_factory=Counter)

    def copy(self) -> RaterQuota:
        return replace(self, moved=self.moved.copy(), moved_of_class=self.moved_of_class.copy())

    def take(self, raters: Iterable[str], label: int | None = None) -> bool:
        """Count one row, shared equally among as many of these raters as have room; False where nobody has.

        A rater at the limit is passed over: else one who likes everything could keep all others from being heard.
        """
        by_room = sorted(set(raters), key=lambda rater: (-self.room(rater, label), rater))
        for count in range(len(by_room), 0, -1):
            sharing = by_room[:count]
            if self.room(sharing[-1], label) >= 1 / count - ROUNDING:
                for rater in sharing:
                    self.moved[rater] += 1 / count  # type: ignore[assignment]
                    self.moved_of_class[rater, label] += 1 / count  # type: ignore[assignment]
                return True
        return False

    def room(self, rater: str, label: int | None) -> float:
        """Rows of this label that the rater may still move."""
        room = self.total - self.moved[rater]
        return min(room, self.of_class.get(label, math.inf) - self.moved_of_class[rater, label])


def generated_quotas(train: Mapping[int | None, int], share: float) -> dict[int | None, int]:
    """By label, the most generated rows g beside n others for which g / (g + n) <= share."""
    return {label: math.floor(share * count / (1 - share) + ROUNDING) for label, count in train.items()}


def fill(
    candidates: Sequence[RowCandidate], rows: float, classes: Mapping[int | None, int] | None = None
) -> list[RowCandidate]:
    """The candidates, of which those are rejected that come when a quota is used up.

    rows: that one rater may add. classes: rows that each label may get; None for any number.
    """
    quota, added = RaterQuota(rows), Counter[int | None]()

    def reason(candidate: RowCandidate) -> str | None:
        if classes is not None and added[candidate.label] >= classes.get(candidate.label, 0):
            return "over the class's quota"
        if not quota.take(event.rater for event in candidate.events):
            return OVER_RATER_QUOTA
        added[candidate.label] += 1
        return None

    return reject(candidates, lambda accepted: map(reason, accepted))
