"""Means and covariances gathered chunk by chunk, in any order, on one machine or several."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, Self

from pipelines.core.lazy import linalg, np

CHUNK = 16_384  # rows held at once
BLOCK = 1_024  # rows of one product: its float64 copy stays in the processor's cache
NARROW = 512  # features: below it a second core makes linear algebra slower, 20 times where that core is busy


class Vectors(Protocol):
    """(n, d) feature vectors, in memory or on disk: what a numpy array and a `DiskArray` have in common."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice) -> np.ndarray: ...


@dataclass(frozen=True)
class Moments:
    """count rows of d numbers: their mean (d,) and scatter (d, d), the sum of the outer products of the deviations. float64.

    Rows may have weights: then count is the sum of the weights, and each row counts in mean and scatter by its own.
    squares: the sum of the squares of the weights; None where rows have none, as if each were 1.
    """

    count: float
    mean: np.ndarray
    scatter: np.ndarray
    squares: float | None = None

    @classmethod
    def from_rows(cls, rows: np.ndarray, weights: np.ndarray | None = None) -> Self:
        """Moments of (n, d), any float dtype. weights: (n,) float64, 0 or more.

        Raises:
            ValueError: a number is not finite.
        """
        if weights is not None:
            mean = weights @ rows / weights.sum() if weights.any() else np.zeros(rows.shape[1])
        else:
            mean = rows.mean(axis=0, dtype=np.float64) if len(rows) else np.zeros(rows.shape[1])
        if not np.isfinite(mean).all():  # one such number spoils the mean of its whole column
            raise ValueError("features hold numbers that are not finite; expected none")
        half = np.zeros((rows.shape[1],) * 2, order="F")
        for start in range(0, len(rows), BLOCK):
            deviations = rows[start : start + BLOCK] - mean
            if weights is not None:
                deviations *= np.sqrt(weights[start : start + BLOCK, None])
            half = linalg.blas.dsyrk(1.0, deviations.T, 1.0, half, lower=True, overwrite_c=True)  # one triangle: half the work
        scatter = half + np.tril(half, -1).T
        if weights is None:
            return cls(len(rows), mean, scatter)
        return cls(float(weights.sum()), mean, scatter, float(weights @ weights))

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets of rows together (Chan, Golub & LeVeque, 1983, equations 2.1); both have weights, or neither."""
        count = self.count + other.count
        gap = other.mean - self.mean
        share = other.count / count if count else 0.0
        scatter = self.scatter + other.scatter + self.count * share * np.outer(gap, gap)
        squares = None if self.squares is None or other.squares is None else self.squares + other.squares
        return Moments(count, self.mean + share * gap, scatter, squares)

    @property
    def degrees(self) -> float:
        """What the scatter is divided by, so that the covariance is unbiased (weights are no numbers of rows)."""
        return self.count - (1 if self.squares is None else self.squares / self.count)

    @property
    def covariance(self) -> np.ndarray:
        """(d, d), unbiased."""
        return self.scatter / self.degrees


@dataclass(frozen=True)
class GroupedMoments:
    """Moments of groups of rows, so that those of all rows but some groups cost no look at the rows.

    counts: (g,), of rows that have weights their sums. means: (g, d). scatters: (g, d, d). squares: (g,), the sums of the
    squares of weights; None where rows have none. All float64.
    """

    counts: np.ndarray
    means: np.ndarray
    scatters: np.ndarray
    squares: np.ndarray | None = None

    @classmethod
    def from_vectors(cls, vectors: Vectors, groups: np.ndarray, number: int, weights: np.ndarray | None = None) -> Self:
        """Moments of (n, d) vectors whose row i is in group groups[i] (-1: in none), of `number` groups.

        weights: (n,) float64, 0 or more, of the rows.
        """
        width = vectors.shape[1]
        squares = None if weights is None else np.zeros(number)
        found = cls(np.zeros(number), np.zeros((number, width)), np.zeros((number, width, width)), squares)
        for start, chunk in chunks(vectors):
            chunk_groups = groups[start : start + len(chunk)]
            order = np.argsort(chunk_groups, kind="stable")
            present, starts = np.unique(chunk_groups[order], return_index=True)
            for group, rows in zip(present, np.split(order, starts[1:]), strict=True):
                if group >= 0:
                    found.add(group, Moments.from_rows(chunk[rows], None if weights is None else weights[start + rows]))
        return found

    def add(self, group: int, moments: Moments) -> None:
        squares = None if self.squares is None else float(self.squares[group])
        both = Moments(float(self.counts[group]), self.means[group], self.scatters[group], squares).merge(moments)
        self.counts[group], self.means[group], self.scatters[group] = both.count, both.mean, both.scatter
        if self.squares is not None:
            self.squares[group] = both.squares

    @cached_property
    def total_scatter(self) -> np.ndarray:
        return self.scatters.sum(axis=0)

    def pooled(self, mask: np.ndarray) -> Moments:
        """Moments of the rows of some groups; mask: (g,) bool."""
        counts = self.counts[mask]
        mean = counts @ self.means[mask] / counts.sum()
        between = (self.means[mask] - mean) * np.sqrt(counts)[:, None]
        within = self.total_scatter - self.scatters[~mask].sum(axis=0)
        squares = None if self.squares is None else float(self.squares[mask].sum())
        return Moments(float(counts.sum()), mean, within + between.T @ between, squares)


def chunks(vectors: Vectors) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) through all of them."""
    for start in range(0, vectors.shape[0], CHUNK):
        yield start, vectors[start : start + CHUNK]


def limit_threads(width: int) -> AbstractContextManager[object]:
    """Limit BLAS to one core where matrices are too small to gain from more."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas") if width < NARROW else nullcontext()
