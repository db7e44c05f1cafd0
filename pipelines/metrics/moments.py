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
    """count rows of d numbers: their mean (d,) and scatter (d, d), the sum of the outer products of the deviations. float64."""

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def from_rows(cls, rows: np.ndarray) -> Self:
        """Moments of (n, d), any float dtype.

        Raises:
            ValueError: a number is not finite.
        """
        mean = rows.mean(axis=0, dtype=np.float64) if len(rows) else np.zeros(rows.shape[1])
        if not np.isfinite(mean).all():  # one such number spoils the mean of its whole column
            raise ValueError("features hold numbers that are not finite; expected none")
        half = np.zeros((rows.shape[1],) * 2, order="F")
        for start in range(0, len(rows), BLOCK):
            deviations = rows[start : start + BLOCK] - mean
            half = linalg.blas.dsyrk(1.0, deviations.T, 1.0, half, lower=True, overwrite_c=True)  # one triangle: half the work
        return cls(len(rows), mean, half + np.tril(half, -1).T)

    def merge(self, other: Moments) -> Moments:
        """Moments of both sets of rows together (Chan, Golub & LeVeque, 1983, equations 2.1)."""
        count = self.count + other.count
        gap = other.mean - self.mean
        share = other.count / max(count, 1)
        scatter = self.scatter + other.scatter + self.count * share * np.outer(gap, gap)
        return Moments(count, self.mean + share * gap, scatter)

    @property
    def covariance(self) -> np.ndarray:
        """(d, d), unbiased."""
        return self.scatter / (self.count - 1)


@dataclass(frozen=True)
class GroupedMoments:
    """Moments of groups of rows, so that those of all rows but some groups cost no look at the rows.

    counts: (g,). means: (g, d). scatters: (g, d, d). All float64.
    """

    counts: np.ndarray
    means: np.ndarray
    scatters: np.ndarray

    @classmethod
    def from_vectors(cls, vectors: Vectors, groups: np.ndarray, number: int) -> Self:
        """Moments of (n, d) vectors whose row i is in group groups[i] (-1: in none), of `number` groups."""
        width = vectors.shape[1]
        found = cls(np.zeros(number), np.zeros((number, width)), np.zeros((number, width, width)))
        for start, chunk in chunks(vectors):
            chunk_groups = groups[start : start + len(chunk)]
            order = np.argsort(chunk_groups, kind="stable")
            present, starts = np.unique(chunk_groups[order], return_index=True)
            for group, rows in zip(present, np.split(order, starts[1:]), strict=True):
                if group >= 0:
                    found.add(group, Moments.from_rows(chunk[rows]))
        return found

    def add(self, group: int, moments: Moments) -> None:
        both = Moments(int(self.counts[group]), self.means[group], self.scatters[group]).merge(moments)
        self.counts[group], self.means[group], self.scatters[group] = both.count, both.mean, both.scatter

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    @cached_property
    def total_scatter(self) -> np.ndarray:
        return self.scatters.sum(axis=0)

    def pooled(self, mask: np.ndarray) -> Moments:
        """Moments of the rows of some groups; mask: (g,) bool."""
        counts = self.counts[mask]
        mean = counts @ self.means[mask] / counts.sum()
        between = (self.means[mask] - mean) * np.sqrt(counts)[:, None]
        within = self.total_scatter - self.scatters[~mask].sum(axis=0)
        return Moments(int(counts.sum()), mean, within + between.T @ between)


def chunks(vectors: Vectors) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) through all of them."""
    for start in range(0, vectors.shape[0], CHUNK):
        yield start, vectors[start : start + CHUNK]


def limit_threads(width: int) -> AbstractContextManager[object]:
    """Limit BLAS to one core where matrices are too small to gain from more."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas") if width < NARROW else nullcontext()
