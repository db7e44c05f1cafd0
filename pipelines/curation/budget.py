"""How many pictures become rows: so many of a class that a model drew, and so many for one rater."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from pipelines.curation.candidates import Candidate
from pipelines.curation.quotas import ROUNDING, Parts
from pipelines.curation.rejections import OVER_PART


def share_out(candidates: Sequence[Candidate], parts: Parts, places: Mapping[int | None, int] | None = None) -> None:
    """In their order; refuse those for which there is no room.

    Args:
        places: for each label, how many there may be; None: as many as there are.
    """
    taken: Counter[int | None] = Counter()
    for candidate in candidates:
        if places is not None and taken[candidate.label] >= places.get(candidate.label, 0):
            candidate.refused = "over budget"
        elif not parts.take(event.rater for event in candidate.events):
            candidate.refused = OVER_PART
        else:
            taken[candidate.label] += 1


def places(train: Mapping[int | None, int], share: float) -> dict[int | None, int]:
    """By label, the most drawn rows g beside n others for which g / (g + n) <= share."""
    return {label: math.floor(share * count / (1 - share) + ROUNDING) for label, count in train.items()}
