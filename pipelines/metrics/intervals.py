"""Confidence intervals of scores: the jackknife over groups of rows, corrected for its bias and its excess of variance.

Scores such as the Fréchet distance are biased upwards with few rows, and resampling with replacement doubles that bias:
a percentile bootstrap then never covers the true distance (`python -m benchmarks.coverage` shows it). Leaving rows out
disturbs far less. Rows are divided at random into groups, and each score is a function of the groups that are kept:

    bias        (g - 1) (mean of the scores without one group - score), Quenouille 1956
    variance    (g - 1)/g times the sum of squares of those scores about their mean, Tukey 1958. Where rows act in pairs this
                counts the pairs' part twice (Efron & Stein, 1981, theorem 2): the part is measured by leaving out two groups
                at once, and taken off once.

Generated and real rows are left out in turn, so the interval speaks of both. Two models are compared by the interval of their
difference: the same real rows are left out for both, so what the real rows share cancels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pipelines.core.lazy import np, special

LEVEL = 0.95
GROUPS = 100  # most groups on either side
PAIRS = 100  # most pairs of groups left out together, of each kind

# The score when only these groups of generated rows and these groups of real rows are kept: (g,) bool, (h,) bool -> value.
Statistic = Callable[["np.ndarray", "np.ndarray"], float]


class NotEnoughError(ValueError):
    """Too few rows for a score that would mean something: what it needs, and what came."""


class NothingToMeasureError(NotEnoughError):
    """There is nothing of the kind that the score is about, so a limit on it has nothing to limit."""


class Interval(NamedTuple):
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A score and what its interval is made of.

    value: the score itself, as other libraries compute it.
    corrected: the same without its bias of few rows; the middle of the interval.
    generated, real: (g,) and (h,), the effect of leaving out each group; the squares sum to the jackknife's variance.
    pairs: (3, p), the joint effect of two groups, both generated, both real, or one of each; the squares sum to what
        the variance counts too often.
    least, most: limits of what the score can be.
    ideal: what an ideal model would get with as many images; None where that is not known.
    least_spread: standard deviation of the score where its true value is `least`; None where it is the same everywhere.
    """

    value: float
    corrected: float
    generated: np.ndarray
    real: np.ndarray
    pairs: np.ndarray
    least: float = -math.inf
    most: float = math.inf
    ideal: float | None = None
    least_spread: float | None = None

    @property
    def unbiased(self) -> float:
        """The score without its bias of few rows, a possible score; it lies in the interval, as `value` need not."""
        return min(max(self.corrected, self.least), self.most)

    @property
    def interval(self) -> Interval:
        """Where the score for infinitely many rows lies, in 95 of 100 such samples."""
        return self.interval_at(LEVEL)

    def interval_at(self, level: float) -> Interval:
        """The same in a share `level` of such samples."""
        low, high = interval_about(self.unbiased, [self.generated, self.real], list(self.pairs), level)
        if self.least_spread is not None:
            low = self.least + self.low_above_least(self.unbiased - self.least, high - self.unbiased, level)
        return Interval(max(low, self.least), min(high, self.most))

    def low_above_least(self, middle: float, reach: float, level: float) -> float:
        """The low end where the variance grows evenly with the true value, from `least` to the middle.

        A distance is a squared one: its variance is that at 0 and as much more as it is large. As with Wilson's interval, the
        end is the value from which the middle is just as far as the variance there lets it be.
        """
        assert self.least_spread is not None
        groups = min(len(part) for part in (self.generated, self.real) if len(part))
        at_least = (student(groups, level) * self.least_spread) ** 2
        if middle**2 <= at_least:
            return 0.0
        growth = max(reach**2 - at_least, 0.0) / middle
        half = middle + growth / 2
        return half - math.sqrt(half**2 - middle**2 + at_least)


def estimate(
    statistic: Statistic,
    generated: int,
    real: int,
    least: float = -math.inf,
    most: float = math.inf,
    ideal: float | None = None,
) -> Estimate:
    """The score with all rows and with groups left out.

    Args:
        generated, real: numbers of groups; 0 for a side that the statistic does not look at.
    """
    value = statistic(np.ones(generated, bool), np.ones(real, bool))

    def without(generated_groups: list[Any], real_groups: list[Any]) -> float:
        masks = np.ones(generated, bool), np.ones(real, bool)
        masks[0][generated_groups], masks[1][real_groups] = False, False
        return statistic(*masks)

    leave_one_out = [np.array([without([g], []) for g in range(generated)]), np.array([without([], [h]) for h in range(real)])]
    corrected, deviations = value, []
    for scores in leave_one_out:
        count = len(scores)
        deviations.append(np.sqrt((count - 1) / count) * (scores - scores.mean()) if count else scores)
        corrected -= (count - 1) * (scores.mean() - value) if count else 0.0

    random = np.random.default_rng(0)  # the same pairs for every model, so that differences are of like with like
    pairs = min(PAIRS, real or generated)
    interactions = np.zeros((3, pairs))
    for row, (first, second) in enumerate(((0, 0), (1, 1), (0, 1))):
        sizes = len(leave_one_out[first]), len(leave_one_out[second])
        if min(sizes) < 2:
            continue
        same = first == second
        scale = np.sqrt((sizes[0] * (sizes[0] - 1) / 2 if same else sizes[0] * sizes[1]) / pairs)
        for place in range(pairs):
            i, j = random.choice(sizes[0], 2, replace=False) if same else (random.integers(size) for size in sizes)
            left_out = ([i, j], []) if (first, second) == (0, 0) else ([], [i, j]) if same else ([i], [j])
            interactions[row, place] = scale * (without(*left_out) - leave_one_out[first][i] - leave_one_out[second][j] + value)
    return Estimate(float(value), float(corrected), deviations[0], deviations[1], interactions, least, most, ideal)


def difference(a: Estimate, b: Estimate, level: float = LEVEL) -> tuple[float, Interval]:
    """a - b, of two models scored on the same real rows, and its interval. What two models generate is independent."""
    if a.real.shape != b.real.shape:
        raise ValueError(f"scores on {len(a.real)} and {len(b.real)} groups of real rows; expected the same real rows")
    middle = a.corrected - b.corrected
    first = [a.generated, b.generated, a.real - b.real]
    pairs = [a.pairs[0], b.pairs[0], a.pairs[1] - b.pairs[1], a.pairs[2], b.pairs[2]]
    return middle, interval_about(middle, first, pairs, level)


def interval_about(middle: float, deviations: list[np.ndarray], pairs: list[np.ndarray], level: float = LEVEL) -> Interval:
    """The interval about `middle` by Student's t, with the degrees of freedom of the set with the fewest groups."""
    jackknife = sum(float(part @ part) for part in deviations)
    # At most half of the jackknife's variance can be counted twice.
    variance = max(jackknife - sum(float(part @ part) for part in pairs), jackknife / 2)
    groups = min((len(part) for part in deviations if len(part)), default=2)
    reach = student(groups, level) * float(np.sqrt(variance))
    return Interval(middle - reach, middle + reach)


def widen(middle: float, interval: Interval, level: float) -> Interval:
    """An interval at LEVEL, of which nothing else is known, at another level, as of a normal distribution."""
    if level == LEVEL:
        return interval
    ratio = float(special.ndtri((1 + level) / 2) / special.ndtri((1 + LEVEL) / 2))
    return Interval(middle - ratio * (middle - interval.low), middle + ratio * (interval.high - middle))


def student(groups: int, level: float = LEVEL) -> float:
    """How many standard errors, known from so many groups, an interval at `level` reaches to either side."""
    return float(special.stdtrit(max(groups - 1, 1), (1 + level) / 2))


def end_deviations(share: float, count: float, groups: int) -> np.ndarray:
    """(groups,) effects of leaving out each group, for a share of 0 or 1 among `count` observations.

    No row disturbs it, yet it is not certain: these make an interval that reaches as far inwards as Wilson's.
    """
    low, high = wilson(share, count)
    return np.full(groups, (high - low) / (student(groups) * np.sqrt(groups)))


def wilson(share: float, count: float) -> Interval:
    """Where the share for infinitely many lies, in 95 of 100 cases (Wilson, 1927).

    Args:
        count: observations that it is the share of; the effective number where they do not count equally.
    """
    z = float(special.ndtri((1 + LEVEL) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = float(z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2)))
    return Interval(max(0.0, middle - reach), min(1.0, middle + reach))


def assign_groups(rows: int, width: int = 1, most: int = GROUPS) -> np.ndarray:
    """(rows,) int: the group of each row, at random and of equal sizes, the same at every call.

    Wide features get fewer groups, because each group keeps a covariance: 512 MiB in all.
    """
    number = max(2, min(most, rows, 2**29 // (8 * width**2)))
    return np.random.default_rng(rows).permutation(rows) % number
