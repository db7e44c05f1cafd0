"""The contract of a metric, and what several of them compute from the same features, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.metrics import intervals, neighbours
from pipelines.metrics.inputs import Benchmark, Drawn
from pipelines.metrics.intervals import Estimate, NotEnoughError
from pipelines.metrics.moments import Grouped, Vectors

NEIGHBOURS = (1, 3, 5, 10)  # sizes of a neighbourhood: 3 is Kynkäänniemi's, 5 Naeem's, all together draw the trade-off
COMPARED = 10_000  # rows of either side that are compared with each other one by one: time and memory go with their product


@dataclass(frozen=True)
class Rows:
    """One side of a comparison: its rows, and the groups that the intervals leave out."""

    vectors: Vectors
    most: int = intervals.GROUPS  # groups

    def __len__(self) -> int:
        return self.vectors.shape[0]

    @property
    def width(self) -> int:
        return self.vectors.shape[1]

    @cached_property
    def groups(self) -> np.ndarray:
        """(n,) int, the group of each row."""
        return intervals.deal(len(self), self.width, self.most)

    @cached_property
    def number(self) -> int:
        """Of groups."""
        return int(self.groups.max()) + 1

    @cached_property
    def moments(self) -> Grouped:
        return Grouped.of(self.vectors, self.groups, self.number)

    @cached_property
    def compared(self) -> tuple[np.ndarray, np.ndarray]:
        """At most COMPARED rows, the same at every call: (c, d) vectors and the (c,) groups that they are in."""
        if len(self) <= COMPARED:
            return self.vectors[0 : len(self)], self.groups
        chosen = np.sort(np.random.default_rng(len(self)).choice(len(self), COMPARED, replace=False))
        return self.take(chosen), self.groups[chosen]

    def take(self, chosen: np.ndarray) -> np.ndarray:
        """(c, d) the rows with these numbers, which on disk are read one by one."""
        if isinstance(self.vectors, np.ndarray):
            return self.vectors[chosen]
        return np.concatenate([self.vectors[row : row + 1] for row in chosen])


@dataclass(frozen=True)
class Trial:
    """Drawn images against the benchmark. What several metrics need is computed once, when the first one asks."""

    drawn: Drawn
    benchmark: Benchmark

    @cached_property
    def fake(self) -> Rows:
        return Rows(self.drawn.features.vectors)

    @cached_property
    def real(self) -> Rows:
        return Rows(self.benchmark.holdout.vectors)

    @cached_property
    def train(self) -> Rows | None:
        return Rows(self.benchmark.train.vectors) if self.benchmark.train is not None else None

    @cached_property
    def membership(self) -> neighbours.Membership:
        return neighbours.membership(self.fake.compared[0], self.real.compared[0], NEIGHBOURS)


def mean(values: np.ndarray, groups: np.ndarray, least: float, most: float, real: bool = False) -> Estimate:
    """The mean of one value for each row of the `real` or the drawn side; `groups` are the rows' own."""
    number = int(groups.max()) + 1
    counts, sums = np.bincount(groups, minlength=number), np.bincount(groups, values, minlength=number)

    def statistic(drawn_kept: np.ndarray, real_kept: np.ndarray) -> float:
        kept = real_kept if real else drawn_kept
        return float(sums[kept].sum() / counts[kept].sum())

    return intervals.estimate(statistic, 0 if real else number, number if real else 0, least, most)


def need(name: str, came: int, least: int, of: str) -> None:
    """Raises NotEnoughError where `came` is below `least`."""
    if came < least:
        raise NotEnoughError(f"{name} needs {least:,} {of} or more, came {came:,}")


# Names and what was found under each; a mapping is a table by class. Empty where the metric does not apply (no classes, say).
# Raises NotEnoughError where there are too few rows.
Score = Callable[[Trial], dict[str, Estimate | dict[str, Estimate]]]
