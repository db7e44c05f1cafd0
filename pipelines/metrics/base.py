"""The contract of a metric, and what several of them compute from the same features, once.

A metric is a module with `SCORES`, which declares what it yields, and a function `score`, which is a `Metric`. Such modules
import nothing heavy at the top: params.yaml is checked with them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, wraps
from typing import Any, Literal

from pipelines.core.lazy import np
from pipelines.metrics import intervals, neighbours, two_samples
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.metrics.intervals import Estimate, NotEnoughError
from pipelines.metrics.moments import GroupedMoments, Vectors

NEIGHBOURS = (1, 3, 5, 10)  # sizes of a neighbourhood: 3 is Kynkäänniemi's, 5 Naeem's, all together draw the trade-off
MOST_ROWS = 10_000  # rows of either side that are compared with each other one by one: time and memory go with their product


@dataclass(frozen=True)
class Score:
    """What a metric says of one of its scores. Pages, rules of promotion and params go by it.

    name: its key in metrics.json. better: empty where neither is. meaning: what it tells people, in a sentence.
    least_rows, rows_per_feature, rows_per_class: how many generated images it needs, see `rows`.
    ideal: the value of a perfect model, where neither lower nor higher is better.
    unbiased_name: where `name` is the value that other libraries print, biased by few images, the key of the value without
        that bias, which comes first wherever people read it; empty where `name` is that value itself.
    needs: what it is computed from besides images of both sides, in words.
    by_class: whether it is a table with a figure for each class.
    latent_steps: whether it is computed from steps through the model's latent space.
    narrows: whether its interval narrows with more generated images.
    by_votes: whether there is none before people have judged something.
    difference_only: whether it is known as the difference of two versions alone.
    """

    name: str
    better: Literal["lower", "higher", ""]
    meaning: str
    least_rows: int = 0
    rows_per_feature: int = 0
    rows_per_class: int = 0
    ideal: float | None = None
    unbiased_name: str = ""
    needs: str = ""
    by_class: bool = False
    latent_steps: bool = False
    narrows: bool = True
    by_votes: bool = False
    difference_only: bool = False

    @property
    def goal(self) -> str:
        """What is better, in a word or two; empty for what is no score of the model itself."""
        return self.better if self.ideal is None else f"near {self.ideal:g}"

    def rows(self, features: int = 0, classes: int = 0) -> int:
        """The least number of generated images, with an extractor of so many features and classes."""
        return self.least_rows + self.rows_per_feature * features + self.rows_per_class * classes

    def real_rows(self, features: int = 0) -> int:
        """The least number of real images; 0 for a score that is not computed from images of both sides alone."""
        if self.needs or self.latent_steps:
            return 0
        return max(self.least_rows, features + 1 if self.rows_per_feature else 0)


@dataclass(frozen=True)
class FeatureRows:
    """Features of generated or of real rows, and the groups of rows that the intervals leave out.

    weights: (n,) float64, how much each row counts; None where all count the same.
    """

    vectors: Vectors
    most_groups: int = intervals.GROUPS
    weights: np.ndarray | None = None

    def __len__(self) -> int:
        return self.vectors.shape[0]

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    def choose(self, most: int) -> np.ndarray:
        """(c, d) at most so many rows, at random and in random order, the same at every call."""
        return self.take(np.random.default_rng([len(self), most]).permutation(len(self))[:most])

    @cached_property
    def groups(self) -> np.ndarray:
        """(n,) int, the group of each row."""
        return intervals.assign_groups(len(self), self.width, self.most_groups)

    @cached_property
    def group_count(self) -> int:
        return int(self.groups.max()) + 1

    @cached_property
    def moments(self) -> GroupedMoments:
        return GroupedMoments.from_vectors(self.vectors, self.groups, self.group_count, self.weights)

    @cached_property
    def subset(self) -> tuple[np.ndarray, np.ndarray]:
        """At most MOST_ROWS rows, the same at every call: (c, d) vectors and the (c,) groups that they are in."""
        if len(self) <= MOST_ROWS:
            return self.vectors[0 : len(self)], self.groups
        return self.take(self.subset_rows), self.groups[self.subset_rows]

    @cached_property
    def subset_rows(self) -> np.ndarray:
        """(c,) int, rising: the numbers of the rows of `subset`."""
        if len(self) <= MOST_ROWS:
            return np.arange(len(self))
        return np.sort(np.random.default_rng(len(self)).choice(len(self), MOST_ROWS, replace=False))

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """(c, d) the rows with these numbers, which on disk are read one by one."""
        if isinstance(self.vectors, np.ndarray):
            return self.vectors[chosen]
        return np.concatenate([self.vectors[row : row + 1] for row in chosen])


@dataclass(frozen=True)
class Comparison:
    """Generated images against the benchmark. What several metrics need is computed once, when the first one asks.

    found: what metrics have found that others go by as well, see `once`.
    """

    candidate: GeneratedFeatures
    benchmark: Benchmark
    found: dict[Any, dict[str, Estimate]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @cached_property
    def generated(self) -> FeatureRows:
        return FeatureRows(self.candidate.features.vectors)

    @cached_property
    def real(self) -> FeatureRows:
        return FeatureRows(self.benchmark.holdout.vectors)

    @cached_property
    def preferred(self) -> FeatureRows:
        """The real rows as people weigh them."""
        return replace(self.real, weights=self.benchmark.preferred)

    @cached_property
    def unseen(self) -> FeatureRows | None:
        """Real training rows that the extractor has not learned from: what an ideal model generates is like them."""
        train, learned = self.benchmark.train, self.benchmark.learned
        if train is None:
            return None
        return FeatureRows(train.vectors if learned is None else train.vectors[~learned])

    @property
    def learned(self) -> np.ndarray | None:
        """(l, d) training rows that the extractor has learned from; None where there are none."""
        train, learned = self.benchmark.train, self.benchmark.learned
        return train.vectors[learned] if train is not None and learned is not None and learned.any() else None

    @cached_property
    def membership(self) -> neighbours.Membership:
        return neighbours.membership(self.generated.subset[0], self.real.subset[0], NEIGHBOURS)

    @property
    def has_pixels(self) -> bool:
        """Whether the images of both sides are at hand."""
        return self.candidate.pixels is not None and self.benchmark.pixels is not None

    @cached_property
    def told_apart(self) -> two_samples.Predictions:
        """What a classifier says of the images themselves; raises NotEnoughError where too few are of the same classes."""
        return two_samples.tell_apart(self.candidate, self.benchmark)


def mean(
    values: np.ndarray,
    groups: np.ndarray,
    least: float,
    most: float,
    real: bool = False,
    ideal: float | None = None,
    weights: np.ndarray | None = None,
) -> Estimate:
    """The mean of one value for each row, generated ones or `real` ones; `groups` and `weights` are the rows' own."""
    number = int(groups.max()) + 1
    counts = np.bincount(groups, weights, minlength=number)
    sums = np.bincount(groups, values if weights is None else weights * values, minlength=number)

    def statistic(generated_mask: np.ndarray, real_mask: np.ndarray) -> float:
        mask = real_mask if real else generated_mask
        return float(sums[mask].sum() / counts[mask].sum())

    found = intervals.estimate(statistic, 0 if real else number, number if real else 0, least, most, ideal)
    if (least, most) == (0.0, 1.0) and found.value in (0.0, 1.0):
        count = len(values) if weights is None else effective_count(weights)
        deviations = intervals.end_deviations(found.value, count, number)
        return replace(found, real=deviations) if real else replace(found, generated=deviations)
    return found


def effective_count(weights: np.ndarray) -> float:
    """So many rows of equal weights tell as much as those with these weights do (Kish, 1965, section 11.2)."""
    return float(weights.sum() ** 2 / (weights @ weights))


def require_rows(scores: Sequence[Score], rows: int, kind: str, features: int = 0, classes: int = 0) -> None:
    """Raises NotEnoughError where there are fewer rows of this kind than the first of these scores needs."""
    least = scores[0].rows(features, classes)
    if rows < least:
        names = " and ".join(score.name for score in scores)
        raise NotEnoughError(f"{names} need{'s' if len(scores) == 1 else ''} {least:,} {kind} or more, came {rows:,}")


def once(metric: Callable[[Comparison], dict[str, Estimate]]) -> Callable[[Comparison], dict[str, Estimate]]:
    """A metric that others go by as well: it is computed once for a comparison."""

    @wraps(metric)
    def score(comparison: Comparison) -> dict[str, Estimate]:
        if metric not in comparison.found:
            comparison.found[metric] = metric(comparison)
        return comparison.found[metric]

    return score


# Names and what was found under each; a mapping is a table by class. Empty where the metric does not apply (no classes, say).
# Raises NotEnoughError where there are too few rows.
Metric = Callable[[Comparison], dict[str, Estimate | dict[str, Estimate]]]
