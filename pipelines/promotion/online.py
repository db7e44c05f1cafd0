"""online_approval: how much more often people like what the challenger draws than what the champion draws, by their votes.

Each rater is compared with nobody but themself: their first vote on a sample of the one with their first on a sample of the
other, the second with the second, and so on, so that neither who votes nor how strictly makes a difference. A rater counts for
a few pairs at most. Votes that `curate` would set aside do not count. The interval holds however often somebody looks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pipelines.core import paths
from pipelines.core.params import Params
from pipelines.curation import belief
from pipelines.feedback import manifest, spoken, trust
from pipelines.feedback.events import Vote
from pipelines.metrics.intervals import Interval
from pipelines.promotion import anytime

MOST = 20  # pairs of votes of one rater


@dataclass(frozen=True)
class Online:
    """difference: challenger - champion, of the shares of votes that like, -1 to 1. pairs: of votes. raters: who cast them."""

    difference: float
    interval: Interval
    pairs: int
    raters: int


def difference(params: Params, challenger: int, champion: int, now: datetime | None = None) -> Online | None:
    """By all votes up to `now`, sealed or not; None where nobody has voted on samples of both.

    Raises:
        GenloopError: sealed files are missing, or the database does not answer.
    """
    votes = believed([vote for vote in cast() if now is None or vote.at <= now], params.feedback.experts)
    found = paired(votes, challenger, champion)
    gains = [gain for of_rater in found.values() for gain in of_rater]
    if not gains:
        return None
    return Online(sum(gains) / len(gains), anytime.interval(gains), len(gains), len(found))


def cast() -> list[Vote]:
    """Every vote, oldest first."""
    manifest.demand(paths.FEEDBACK, manifest.missing())
    return [event for event in spoken.every("vote") if isinstance(event, Vote)]


def believed(votes: Sequence[Vote], experts: Sequence[str]) -> list[Vote]:
    """Those that `curate` would count: of each rater and sample the last one, and none that is set aside."""
    raters = sorted({vote.rater for vote in votes})
    items = sorted({vote.sample for vote in votes}, key=belief.place)
    arrays = belief.as_arrays(votes, raters, items)
    reasons = belief.weigh(arrays, np.isin(raters, list(experts)), len(items), share=1.0).reasons
    return [vote for vote, reason in zip(votes, reasons.tolist(), strict=True) if reason == trust.KEPT]


def paired(votes: Sequence[Vote], challenger: int, champion: int) -> dict[str, list[float]]:
    """Rater -> how each pair of votes came out, at most MOST: 1 where only the challenger's sample was liked, -1 where only the
    champion's was, else 0. Votes come oldest first."""
    said: dict[str, dict[int, list[int]]] = defaultdict(lambda: {challenger: [], champion: []})
    for vote in votes:
        if vote.sample.version in (challenger, champion):
            said[vote.rater][vote.sample.version].append(vote.value)
    found = {
        rater: [(one - other) / 2 for one, other in zip(of[challenger][:MOST], of[champion][:MOST], strict=False)]
        for rater, of in said.items()
    }
    return {rater: gains for rater, gains in found.items() if gains}
