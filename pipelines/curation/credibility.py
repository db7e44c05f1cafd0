"""Weights of votes and choices, and the reliability of raters, by which their labels, flags and uploads count."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

import numpy as np

from pipelines.curation.events import NO_PICTURE, NOT_CREDIBLE, TWO_MODELS, Rejection, raters, screen, select
from pipelines.curation.images import MeasuredImages
from pipelines.feedback import agreement, trust
from pipelines.feedback.agreement import Votes
from pipelines.feedback.events import Choice, Event, Sample, Vote
from pipelines.feedback.trust import Trust

UNKNOWN = 2 * agreement.RIGHT - 1  # reliability of a rater without votes, where no other rater's is known


@dataclass(frozen=True)
class Credibility:
    """votes, choices: those that count, with their weights, above 0.

    liked: of every sample that somebody voted on or chose between, the probability that it is right to like it; 0.5 where no
        vote that counts is about it.
    reliability: of every rater, 0 (not credible) to 1. share: of the weight of all votes.
    """

    votes: list[tuple[Vote, float]]
    choices: list[tuple[Choice, float]]
    liked: dict[Sample, float]
    reliability: dict[str, float]
    share: dict[str, float]
    rejections: list[Rejection]

    def reason(self, event: Event) -> str | None:
        """To reject it, where its rater is not credible."""
        return None if self.reliability[event.rater] > 0 else NOT_CREDIBLE


def assess(events: Sequence[Event], images: MeasuredImages, experts: Collection[str], share: float) -> Credibility:
    """Only votes and choices about samples with an image count.

    Args:
        experts: raters whose votes are taken for right; others are measured by them.
        share: of all weight, that one rater may have; see trust.TrustSettings.
    """

    def missing(*samples: Sample) -> str | None:
        found = [images[sample].rejection if sample in images else NO_PICTURE for sample in samples]
        return TWO_MODELS if TWO_MODELS in found else NO_PICTURE if any(found) else None

    votes, without_image = screen(select(events, Vote), lambda vote: missing(vote.sample))
    choices, without_images = screen(select(events, Choice), lambda choice: missing(choice.winner, choice.loser))
    names = raters(events)
    samples = sorted({vote.sample for vote in votes}, key=attrgetter("key"))
    arrays = Votes.of_events(votes, names, samples)
    weighed = weigh_votes(arrays, np.isin(names, list(experts)), len(samples), share)
    shares = np.bincount(arrays.rater, weighed.weights, len(names)) / (weighed.weights.sum() or 1.0)
    reliability = dict(zip(names, weighed.reliability.tolist(), strict=True))
    counted, rejected = weigh_choices(choices, reliability, share)
    reasons = zip(votes, weighed.reasons.tolist(), strict=True)
    distrusted = [Rejection(vote, trust.REASONS[reason]) for vote, reason in reasons if reason != trust.ACCEPTED]
    return Credibility(
        votes=[(vote, weight) for vote, weight in zip(votes, weighed.weights.tolist(), strict=True) if weight > 0],
        choices=counted,
        liked={sample: 0.5 for choice in choices for sample in (choice.winner, choice.loser)}
        | dict(zip(samples, weighed.posterior.tolist(), strict=True)),
        reliability=reliability,
        share=dict(zip(names, shares.tolist(), strict=True)),
        rejections=[*without_image, *without_images, *distrusted, *rejected],
    )


def weigh_votes(votes: Votes, experts: np.ndarray, items: int, share: float) -> Trust:
    """As trust.weigh_votes, except that the last vote of an expert, (raters,) bool, on an item always counts."""
    expert = experts[votes.rater]
    answers = expert_answers(votes[expert])
    unbounded = trust.TrustSettings(share=1.0)  # bounded below, together with the experts' votes
    trusted = trust.weigh_votes(votes[~expert], answers, unbounded)
    weights, reasons = np.ones(len(votes)), np.full(len(votes), trust.ACCEPTED, np.int8)
    weights[~expert], reasons[~expert] = trusted.weights, trusted.reasons
    replaced = expert & trust.replaced_votes(votes)
    weights[replaced], reasons[replaced] = 0, trust.REASONS.index("replaced")

    counted = np.bincount(votes.item, np.where(expert, 0, weights), items)[: len(trusted.posterior)] > 0
    liked = np.full(items, 0.5)
    liked[: len(trusted.posterior)][counted] = trusted.posterior[counted]
    for item, value in answers.items():
        liked[item] = value > 0
    reliability = reliabilities(votes, reasons == trust.ACCEPTED, trusted.reliability, experts)
    return Trust(trust.cap_shares(weights, votes.rater, share), reasons, reliability, posterior=liked)


def expert_answers(votes: Votes) -> dict[int, int]:
    """By item, what most experts vote, where there is a majority."""
    last = votes[~trust.replaced_votes(votes)]
    sums = np.bincount(last.item, last.value)
    return {int(item): int(np.sign(sums[item])) for item in np.flatnonzero(sums)}


def reliabilities(votes: Votes, counted: np.ndarray, informedness: np.ndarray, experts: np.ndarray) -> np.ndarray:
    """(raters,): 1 for experts; 0 for raters of whose votes none counts; for those without votes, the average of the others.

    counted: (n,) bool. informedness: (raters,), as trust.weigh_votes finds it for the others.
    """
    number = np.bincount(votes.rater, minlength=len(experts))
    number_counted = np.bincount(votes.rater[counted], minlength=len(experts))
    found = np.zeros(len(experts))
    found[: len(informedness)] = np.clip(informedness, 0, 1)
    found[number_counted == 0] = 0
    measured = found[(number_counted > 0) & ~experts]
    found[number == 0] = measured.mean() if len(measured) else UNKNOWN
    found[experts] = 1
    return found


def weigh_choices(
    choices: Sequence[Choice], reliability: Mapping[str, float], share: float
) -> tuple[list[tuple[Choice, float]], list[Rejection]]:
    """A rater's last choice between two samples counts, by the rater's reliability. The others are rejected."""
    last = {(choice.rater, frozenset((choice.winner, choice.loser))): choice.id for choice in choices}
    final = set(last.values())

    def reason(choice: Choice) -> str | None:
        if choice.id not in final:
            return "replaced"
        return None if reliability[choice.rater] else NOT_CREDIBLE

    counted, rejections = screen(choices, reason)
    weights = np.array([reliability[choice.rater] for choice in counted])
    numbers = np.unique(np.array([choice.rater for choice in counted], str), return_inverse=True)[1]
    return list(zip(counted, trust.cap_shares(weights, numbers, share).tolist(), strict=True)), rejections
