"""How much each vote and each choice counts, and how far each rater is believed in all else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.curation.events import Said
from pipelines.curation.images import Look
from pipelines.curation.rejections import NO_PICTURE, NOT_BELIEVED, Aside
from pipelines.feedback import agreement, trust
from pipelines.feedback.agreement import Votes
from pipelines.feedback.events import Choice, Sample, Vote

UNKNOWN = 2 * agreement.RIGHT - 1  # reliability of somebody unknown, where nobody is known


@dataclass(frozen=True)
class Belief:
    """votes, choices: those that count, with their weights, above 0.

    liked: of every sample that somebody voted on or chose between, the probability that it is right to like it; 0.5 where no
        vote that counts says anything.
    reliability: of every rater, 0 (not believed) to 1. share: of the weight of all votes.
    """

    votes: list[tuple[Vote, float]]
    choices: list[tuple[Choice, float]]
    liked: dict[Sample, float]
    reliability: dict[str, float]
    share: dict[str, float]

    def believes(self, rater: str) -> bool:
        return self.reliability[rater] > 0


def judge(said: Said, samples: Mapping[Sample, Look], experts: Collection[str], share: float, aside: Aside) -> Belief:
    """Only what is about a sample with a picture counts.

    Args:
        experts: raters whose votes are taken for right; others are measured by them.
        share: of all weight, that one rater may have; see trust.Settings.
    """
    seen = {sample for sample, look in samples.items() if look.refused is None}
    aside.add_all([vote for vote in said.votes if vote.sample not in seen], NO_PICTURE)
    aside.add_all([choice for choice in said.choices if not {choice.winner, choice.loser} <= seen], NO_PICTURE)
    told = [vote for vote in said.votes if vote.sample in seen]
    chosen = [choice for choice in said.choices if {choice.winner, choice.loser} <= seen]

    raters = said.raters
    items = sorted({vote.sample for vote in told}, key=place)
    votes = as_arrays(told, raters, items)
    weighed = weigh(votes, np.isin(raters, list(experts)), len(items), share)
    for vote, reason in zip(told, weighed.reasons.tolist(), strict=True):
        if reason != trust.KEPT:
            aside.add(vote, trust.REASONS[reason])

    shares = np.bincount(votes.rater, weighed.weights, len(raters)) / (weighed.weights.sum() or 1.0)
    reliability = dict(zip(raters, weighed.reliability.tolist(), strict=True))
    unknown = {sample: 0.5 for choice in chosen for sample in (choice.winner, choice.loser)}
    return Belief(
        [(vote, weight) for vote, weight in zip(told, weighed.weights.tolist(), strict=True) if weight > 0],
        last_words(chosen, reliability, share, aside),
        unknown | dict(zip(items, weighed.liked.tolist(), strict=True)),
        reliability,
        dict(zip(raters, shares.tolist(), strict=True)),
    )


def place(sample: Sample) -> tuple[int, int, int]:
    """Where a sample comes in an order of all."""
    return sample.version, sample.seed, -1 if sample.label is None else sample.label


def as_arrays(votes: Sequence[Vote], raters: Sequence[str], items: Sequence[Sample]) -> Votes:
    """Raters and items by their numbers in these lists."""
    of_rater = {rater: number for number, rater in enumerate(raters)}
    of_item = {item: number for number, item in enumerate(items)}
    return Votes(
        np.array([of_rater[vote.rater] for vote in votes], np.int64),
        np.array([of_item[vote.sample] for vote in votes], np.int64),
        np.array([vote.value for vote in votes], np.int8),
        np.array([vote.at.timestamp() for vote in votes], np.float64),
    )


@dataclass(frozen=True)
class Weighed:
    """weights, reasons: (n,) of each vote, as of trust.Trust. liked: (items,). reliability: (raters,), 0 to 1."""

    weights: np.ndarray
    reasons: np.ndarray
    liked: np.ndarray
    reliability: np.ndarray


def weigh(votes: Votes, experts: np.ndarray, items: int, share: float) -> Weighed:
    """By trust.judge, but for experts, whose last word on an item always counts.

    Args:
        experts: (raters,) bool.
    """
    expert = experts[votes.rater]
    right = answers(votes[expert])
    others = trust.judge(votes[~expert], right, trust.Settings(share=1.0))  # bounded below, together with the experts'
    weights, reasons = np.ones(len(votes)), np.full(len(votes), trust.KEPT, np.int8)
    weights[~expert], reasons[~expert] = others.weights, others.reasons
    replaced = expert & trust.replaced(votes)
    weights[replaced], reasons[replaced] = 0, trust.REASONS.index("replaced")

    counted = np.bincount(votes.item, np.where(expert, 0, weights), items)[: len(others.posterior)] > 0
    liked = np.full(items, 0.5)
    liked[: len(others.posterior)][counted] = others.posterior[counted]
    for item, value in right.items():
        liked[item] = value > 0
    reliability = reliabilities(votes, reasons == trust.KEPT, others.reliability, experts)
    return Weighed(trust.bounded(weights, votes.rater, share), reasons, liked, reliability)


def answers(votes: Votes) -> dict[int, int]:
    """What most experts say of an item, where most say the same."""
    last = votes[~trust.replaced(votes)]
    sums = np.bincount(last.item, last.value)
    return {int(item): int(np.sign(sums[item])) for item in np.flatnonzero(sums)}


def reliabilities(votes: Votes, kept: np.ndarray, judged: np.ndarray, experts: np.ndarray) -> np.ndarray:
    """(raters,): 1 of experts; 0 of those of whose votes none was kept; of those who never voted, the average of the others."""
    number = np.bincount(votes.rater, minlength=len(experts))
    kept_of = np.bincount(votes.rater[kept], minlength=len(experts))
    found = np.zeros(len(experts))
    found[: len(judged)] = np.clip(judged, 0, 1)
    found[kept_of == 0] = 0
    known = found[(kept_of > 0) & ~experts]
    found[number == 0] = known.mean() if len(known) else UNKNOWN
    found[experts] = 1
    return found


def last_words(
    choices: Sequence[Choice], reliability: Mapping[str, float], share: float, aside: Aside
) -> list[tuple[Choice, float]]:
    """A rater's last word on a pair counts, as much as the rater is believed."""
    last = {(choice.rater, frozenset((choice.winner, choice.loser))): choice for choice in choices}
    standing = {choice.id for choice in last.values()}
    aside.add_all([choice for choice in choices if choice.id not in standing], "replaced")
    aside.add_all([choice for choice in last.values() if not reliability[choice.rater]], NOT_BELIEVED)
    counted = [choice for choice in choices if choice.id in standing and reliability[choice.rater]]
    weights = np.array([reliability[choice.rater] for choice in counted])
    raters = np.unique(np.array([choice.rater for choice in counted], str), return_inverse=True)[1]
    return list(zip(counted, trust.bounded(weights, raters, share).tolist(), strict=True))
