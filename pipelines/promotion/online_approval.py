"""online_approval: how much more often people like the challenger's images than the champion's, by their votes.

Each rater is compared with nobody but themself, and a vote only with one of the same hour: neither who votes nor how strictly,
nor how that changes in the course of time, makes a difference. Which votes make a pair is settled when the later one comes. A
rater counts for a few pairs at most and a sample for one, so that no single taste and no single image is taken for
everybody's. Samples that were chosen by what people like do not count: it is about what versions generate, and not about what
they were steered to. Whether others agree does not matter here: to reject whoever disagrees would decide the question by its
answer.

The interval of the mean holds at every moment at once, however often somebody looks and whenever they stop. It is the normal
mixture of Robbins (1970), as in Howard, Ramdas, McAuliffe & Sekhon (2021), equation 14: for values within `reach` of their
conditional means' middle, the sum leaves

    ± sqrt((v + r) log((v + r) / (r a²))),  v = n reach²

about the sum of those means at any n with probability a at most. Values may depend on those before them, as votes of one rater
do, and their means may change; what is covered is the average of the means.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pipelines.core.project import Project
from pipelines.feedback import all_events, trust
from pipelines.feedback.agreement import Votes
from pipelines.feedback.events import Sample, Vote
from pipelines.feedback.sealed import manifest
from pipelines.metrics.intervals import LEVEL, Interval

# Pairs of one rater. Raters differ in which version they like, and more pairs of the same few would say ever more surely what
# those few like: with 5, and raters' own differences spread by up to 0.3, the interval misses as rarely as it should.
MAX_PAIRS = 5
LONGEST = timedelta(hours=1)
NARROWEST = 400  # pairs at which the interval is as narrow as it can be made there


@dataclass(frozen=True)
class OnlineApproval:
    """difference: challenger - champion, of the shares of votes that like, -1 to 1. pairs: of votes. raters: who cast them."""

    difference: float
    interval: Interval
    pairs: int
    raters: int


def difference(
    project: Project, challenger: int, champion: int, start: datetime, until: datetime | None = None
) -> OnlineApproval | None:
    """By all votes, sealed or not; None where nobody has voted on samples of both within an hour.

    Args:
        start: when both versions existed. Earlier votes are about other versions with these numbers.

    Raises:
        GenloopError: sealed files are missing, or the database does not answer.
    """
    manifest.require(project.feedback, project.manifest)
    votes = [event for event in all_events.read(project, "vote") if isinstance(event, Vote)]
    votes = [vote for vote in votes if start <= vote.at and (until is None or vote.at <= until)]
    guided = all_events.guided_samples(project) if votes else set()
    votes = [vote for vote in votes if vote.sample not in guided]
    pairs = pair_votes(usable_votes(votes), challenger, champion)
    if not pairs:
        return None
    gains = [gain for _, gain in pairs]
    return OnlineApproval(sum(gains) / len(gains), anytime_interval(gains), len(gains), len({rater for rater, _ in pairs}))


def usable_votes(votes: Sequence[Vote]) -> list[Vote]:
    """The last vote of each rater on each sample, without those that were cast faster than a person judges."""
    raters = sorted({vote.rater for vote in votes})
    samples = sorted({vote.sample for vote in votes}, key=lambda sample: sample.key)
    arrays = Votes.of_events(votes, raters, samples)
    rejected = trust.replaced_votes(arrays) | trust.burst_votes(arrays, trust.TrustSettings())
    return [vote for vote, out in zip(votes, rejected.tolist(), strict=True) if not out]


def pair_votes(votes: Sequence[Vote], challenger: int, champion: int) -> list[tuple[str, float]]:
    """The rater of each pair of votes, and how it came out: 1 where only the challenger's sample was liked, -1 where only the
    champion's was, else 0. Votes come oldest first; one is paired with the latest that waits for a partner."""
    pairs: list[tuple[str, float]] = []
    counts: dict[str, int] = defaultdict(int)
    waiting: dict[str, list[Vote]] = defaultdict(list)
    used: set[Sample] = set()
    for vote in votes:
        if vote.sample.version not in (challenger, champion) or counts[vote.rater] == MAX_PAIRS or vote.sample in used:
            continue
        partner = latest_partner(waiting[vote.rater], vote, used)
        if partner is None:
            waiting[vote.rater].append(vote)
            continue
        waiting[vote.rater].remove(partner)
        used |= {vote.sample, partner.sample}
        counts[vote.rater] += 1
        gain = (vote.value - partner.value) / 2
        pairs.append((vote.rater, gain if vote.sample.version == challenger else -gain))
    return pairs


def latest_partner(waiting: Sequence[Vote], vote: Vote, used: set[Sample]) -> Vote | None:
    for other in reversed(waiting):
        if vote.at - other.at > LONGEST:
            return None
        if other.sample.version != vote.sample.version and other.sample not in used:
            return other
    return None


def anytime_interval(values: Sequence[float], reach: float = 1.0) -> Interval:
    """Of the mean of values between -reach and reach.

    Raises:
        ValueError: there are none, or one lies beyond.
    """
    if not values or max(map(abs, values)) > reach:
        raise ValueError(f"expected values between {-reach} and {reach}, and one or more of them; came {list(values)[:5]}")
    error, number = 1 - LEVEL, len(values)
    spread = number * reach**2
    # Howard et al., proposition 3, approximately: the width at NARROWEST values is least for this r.
    tuned = NARROWEST * reach**2 / (2 * math.log(1 / error) + math.log(1 + 2 * math.log(1 / error)))
    half = math.sqrt((spread + tuned) * math.log((spread + tuned) / (tuned * error**2))) / number
    mean = math.fsum(values) / number
    return Interval(max(mean - half, -reach), min(mean + half, reach))
