"""Agreement of raters (Dawid & Skene, 1979): from votes alone, how often each rater is right, and whether each item is liked.

Expectation maximisation over two classes: an item is right to like or it is not, and a rater has a confusion matrix, the
probability of each vote given what is right. It starts from the shares of the votes, as crowd-kit does, and with `strength=0`
it is crowd-kit's DawidSkene: counts of votes that exist are at least 1e-10, and nothing else is smoothed.

With `strength` it differs in two ways, for raters of whom little is known:
- each matrix is the rater's counts plus `strength` votes of each class like the average rater's, a conjugate prior. The
  average is of raters, not of votes, and among them counts one who is right 4 times of 5, which is all there is where nobody
  has been compared with anybody;
- a vote on an item that nobody else has voted on counts for no matrix, because agreeing with oneself is no evidence, nor for
  the share of items that it is right to like: if people like 4 of 5 items, all dislikes could be the mistakes of raters who
  are right 4 times of 5, and single votes cannot tell. That share begins at a half, as if of `strength` items more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.special import expit

from pipelines.feedback.events import IMPORTED, Sample, Vote

TINY = 1e-10  # as crowd-kit's
STRENGTH = 3.0
RIGHT = 0.8  # how often an unknown rater is right
STEPS, TOLERANCE = 200, 1e-5


@dataclass(frozen=True)
class Votes:
    """n votes. rater, item: (n,) int, from 0. value: (n,) int8, -1 or +1. at: (n,) float64, seconds since the epoch.

    imported: (n,) bool, whether a vote came in a file, whose time it may have instead of its own; by default none.
    """

    rater: np.ndarray
    item: np.ndarray
    value: np.ndarray
    at: np.ndarray
    imported: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    @classmethod
    def of_events(cls, votes: Sequence[Vote], raters: Sequence[str], samples: Sequence[Sample]) -> Votes:
        """Raters and samples by their numbers in these lists."""
        rater_number = {rater: number for number, rater in enumerate(raters)}
        sample_number = {sample: number for number, sample in enumerate(samples)}
        return cls(
            np.array([rater_number[vote.rater] for vote in votes], np.int64),
            np.array([sample_number[vote.sample] for vote in votes], np.int64),
            np.array([vote.value for vote in votes], np.int8),
            np.array([vote.at.timestamp() for vote in votes], np.float64),
            np.array([vote.id.startswith(IMPORTED) for vote in votes], bool),
        )

    def __post_init__(self) -> None:
        if not len(self.imported):
            object.__setattr__(self, "imported", np.zeros(len(self.rater), bool))
        sizes = [len(part) for part in (self.rater, self.item, self.value, self.at)]
        if len({*sizes, len(self.imported)}) > 1:
            raise ValueError(f"votes have {sizes} raters, items, values and times; expected as many of each")
        if not np.isin(self.value, (-1, 1)).all():
            raise ValueError(f"votes hold the values {np.unique(self.value)[:5].tolist()}; expected -1 and 1")
        if not np.isfinite(self.at).all():
            raise ValueError("votes hold times that are not finite; expected seconds since the epoch")
        if sizes[0] and min(self.rater.min(), self.item.min()) < 0:
            raise ValueError("votes hold negative raters or items; expected indices from 0")

    def __len__(self) -> int:
        return len(self.rater)

    def __getitem__(self, some: np.ndarray | slice) -> Votes:
        return Votes(self.rater[some], self.item[some], self.value[some], self.at[some], self.imported[some])

    @property
    def raters(self) -> int:
        return int(self.rater.max()) + 1 if len(self) else 0

    @property
    def items(self) -> int:
        return int(self.item.max()) + 1 if len(self) else 0

    @property
    def likes(self) -> np.ndarray:
        """(n,) int, 1 of a like, 0 of a dislike."""
        return (self.value > 0).astype(np.int64)


@dataclass(frozen=True)
class Agreement:
    """posterior: (items,), the probability that it is right to like an item. prior: the same of any item.
    counts: (raters, 2, 2), votes by rater, by their value and by what is right, those of the average rater included.
    average: (2, 2), the confusion matrix of the average rater; columns sum to 1. All float64.
    """

    posterior: np.ndarray
    prior: float
    counts: np.ndarray
    average: np.ndarray

    @property
    def confusion(self) -> np.ndarray:
        """(raters, 2, 2), the probability of a vote's value given what is right; columns sum to 1."""
        return shares(self.counts)

    @property
    def informedness(self) -> np.ndarray:
        """(raters,), Youden's index J (1950): P(likes | right to) + P(dislikes | right to) - 1.

        1 for a rater who is always right, 0 for one whose votes depend on nothing (always likes, say), below for an adversary.
        """
        return self.confusion[:, 1, 1] + self.confusion[:, 0, 0] - 1

    @property
    def deviation(self) -> np.ndarray:
        """(raters,), the standard deviation of the informedness: that of a beta distribution for each class."""
        right = np.stack([self.confusion[:, 0, 0], self.confusion[:, 1, 1]], axis=1)
        return np.sqrt((right * (1 - right) / (self.counts.sum(axis=1) + 1)).sum(axis=1))


def fit(
    votes: Votes,
    raters: int,
    items: int,
    gold: np.ndarray | None = None,
    strength: float = STRENGTH,
    steps: int = STEPS,
    tolerance: float = TOLERANCE,
) -> Agreement:
    """Maximise until no posterior moves by more than `tolerance`, or for `steps` steps.

    gold: (items,) float, the right answer (0 or 1) where it is known, NaN elsewhere.
    strength: votes that the average rater lends to each, for each class; 0: none, as crowd-kit.
    """
    rater, item, likes = votes.rater, votes.item, votes.likes
    number = np.bincount(item, minlength=items)
    gold = np.full(items, np.nan) if gold is None else gold
    posterior = with_gold(np.bincount(item, likes, items) / np.maximum(number, 1), gold)
    used = np.bincount(2 * rater + likes, minlength=2 * raters).reshape(raters, 2, 1) > 0
    compared = (number > 1) | (number > 0) & ~np.isnan(gold) if strength else number > 0

    for step in range(steps + 1):
        prior = share_liked(posterior[compared], strength)
        counts = confusion_counts(rater, likes, posterior[item], compared[item], raters)
        average = average_confusion(counts, strength)
        counts = counts + strength * average if strength else np.where(used, np.maximum(counts, TINY), 0.0)
        if step == steps:
            break
        before = posterior
        posterior = with_gold(expit(log_odds(prior) + np.bincount(item, evidence(shares(counts), votes), items)), gold)
        if np.abs(posterior - before).max(initial=0) <= tolerance:
            steps = step + 1  # the counts of the last posterior are still to come
    return Agreement(posterior, prior, counts, average)


def share_liked(posterior: np.ndarray, strength: float) -> float:
    """The probability that it is right to like any item. posterior: of items that tell of it. strength: as in `fit`."""
    number = len(posterior) + strength
    return float((posterior.sum() + strength / 2) / number) if number else 0.5


def posterior_by_others(votes: Votes, agreement: Agreement, confusion: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """(n,), for each vote, the probability that it is right to like its item, by all votes but itself."""
    own = evidence(confusion, votes)
    total = np.bincount(votes.item, own, len(agreement.posterior))
    return with_gold(expit(log_odds(agreement.prior) + total[votes.item] - own), gold[votes.item])


def evidence(confusion: np.ndarray, votes: Votes) -> np.ndarray:
    """(n,), the logarithm of how much more probable each vote is where it is right to like than where it is not."""
    chances = confusion[votes.rater, votes.likes]
    return np.log(chances[:, 1]) - np.log(chances[:, 0])


def confusion_counts(rater: np.ndarray, likes: np.ndarray, right: np.ndarray, counted: np.ndarray, raters: int) -> np.ndarray:
    """(raters, 2, 2) counts of votes, by their value and by what is right with these probabilities (n,)."""
    cell = 2 * rater + likes
    columns = [np.bincount(cell, weights * counted, 2 * raters) for weights in (1 - right, right)]
    return np.stack(columns, axis=1).reshape(raters, 2, 2)


def average_confusion(counts: np.ndarray, strength: float) -> np.ndarray:
    """(2, 2), the mean a of the raters' matrices that have a in them: with rater r's counts c_r, of which n_r for a class,

        a = mean of (c_r + s a) / (n_r + s)   is solved by   a = sum of c_r / (n_r + s) over sum of n_r / (n_r + s).

    So one rater counts once at most, however many votes are theirs.
    """
    unknown = np.array([[RIGHT, 1 - RIGHT], [1 - RIGHT, RIGHT]])
    return shares((counts / (counts.sum(axis=1, keepdims=True) + (strength or 1.0))).sum(axis=0) + unknown)


def shares(counts: np.ndarray) -> np.ndarray:
    """(..., 2, 2) counts as shares of their columns; halves where there are none."""
    totals = counts.sum(axis=-2, keepdims=True)
    return np.divide(counts, totals, out=np.full_like(counts, 0.5), where=totals > 0)


def with_gold(posterior: np.ndarray, gold: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(gold), posterior, gold)


def log_odds(prior: float) -> float:
    return float(np.log(max(prior, TINY)) - np.log(max(1 - prior, TINY)))
