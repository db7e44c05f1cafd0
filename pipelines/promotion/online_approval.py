"""online_approval: how much more often people like what the challenger draws than what the champion draws, by their votes.

Each rater is compared with nobody but themself, and a vote only with one of the same hour: neither who votes nor how strictly,
nor how that changes in the course of time, makes a difference. Which votes make a pair is settled when the later one comes. A
rater counts for a few pairs at most and a sample for one, so that no single taste and no single picture is taken for
everybody's. Whether others agree does not matter here: to set aside whoever disagrees would decide the question by its answer.

The interval (anytime.py) holds however often somebody looks.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.core import paths
from pipelines.curation import credibility
from pipelines.feedback import all_events, trust
from pipelines.feedback.events import Sample, Vote
from pipelines.feedback.sealed import manifest
from pipelines.metrics.intervals import Interval
from pipelines.promotion import anytime

# Pairs of one rater. Raters differ in which version they like, and more pairs of the same few would say ever more surely what
# those few like: with 5, and raters' own differences spread by up to 0.3, the interval misses as rarely as it should.
MOST = 5
WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Online:
    """difference: challenger - champion, of the shares of votes that like, -1 to 1. pairs: of votes. raters: who cast them."""

    difference: float
    interval: Interval
    pairs: int
    raters: int


def difference(challenger: int, champion: int, since: datetime, until: datetime | None = None) -> Online | None:
    """By all votes, sealed or not; None where nobody has voted on samples of both within an hour.

    Args:
        since: the first moment at which both versions were there. Votes before it are about others of these numbers.

    Raises:
        GenloopError: sealed files are missing, or the database does not answer.
    """
    votes = usable([vote for vote in cast() if since <= vote.at and (until is None or vote.at <= until)])
    pairs = paired(votes, challenger, champion)
    if not pairs:
        return None
    gains = [gain for _, gain in pairs]
    return Online(sum(gains) / len(gains), anytime.interval(gains), len(gains), len({rater for rater, _ in pairs}))


def cast() -> list[Vote]:
    """Every vote, oldest first."""
    manifest.demand(paths.FEEDBACK, manifest.missing())
    return [event for event in all_events.every("vote") if isinstance(event, Vote)]


def usable(votes: Sequence[Vote]) -> list[Vote]:
    """Of each rater and sample the last one, and none that was cast faster than a person judges."""
    raters = sorted({vote.rater for vote in votes})
    items = sorted({vote.sample for vote in votes}, key=credibility.place)
    arrays = credibility.as_arrays(votes, raters, items)
    aside = trust.replaced(arrays) | trust.bursts(arrays, trust.Settings())
    return [vote for vote, unusable in zip(votes, aside.tolist(), strict=True) if not unusable]


def paired(votes: Sequence[Vote], challenger: int, champion: int) -> list[tuple[str, float]]:
    """The rater of each pair of votes, and how it came out: 1 where only the challenger's sample was liked, -1 where only the
    champion's was, else 0. Votes come oldest first; one is paired with the latest that waits for a partner."""
    found: list[tuple[str, float]] = []
    number: dict[str, int] = defaultdict(int)
    waiting: dict[str, list[Vote]] = defaultdict(list)
    used: set[Sample] = set()
    for vote in votes:
        if vote.sample.version not in (challenger, champion) or number[vote.rater] == MOST or vote.sample in used:
            continue
        partner = latest(waiting[vote.rater], vote, used)
        if partner is None:
            waiting[vote.rater].append(vote)
            continue
        waiting[vote.rater].remove(partner)
        used |= {vote.sample, partner.sample}
        number[vote.rater] += 1
        gain = (vote.value - partner.value) / 2
        found.append((vote.rater, gain if vote.sample.version == challenger else -gain))
    return found


def latest(waiting: Sequence[Vote], vote: Vote, used: set[Sample]) -> Vote | None:
    for other in reversed(waiting):
        if vote.at - other.at > WITHIN:
            return None
        if other.sample.version != vote.sample.version and other.sample not in used:
            return other
    return None
