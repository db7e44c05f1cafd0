"""kid: kernel inception distance (Bińkowski et al., 2018, section 4): the squared maximum mean discrepancy of two sets of
features under the kernel k(x, y) = (xᵀy / d + 1)³, in its unbiased form (Gretton et al., 2012, equation 3).

Around 0 for equal distributions, where it may fall below; lower is better. Unlike `fid` it is unbiased with few rows and
compares all moments up to the third; it does not see copies of the training rows, and its scale depends on the extractor.
Large sets are compared in blocks of rows dealt at random, so that time goes with the rows. Needs 50 rows on either side.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.metrics import base, intervals
from pipelines.metrics.base import Rows, Trial
from pipelines.metrics.intervals import Estimate

LEAST = 50
BLOCK, LEAST_BLOCK = 10_000, 1_000  # most and least rows of a block, in which all are compared with all
MOST_PAIRS = 500_000_000  # about as many comparisons are made in all, by smaller blocks where there are more rows
ROWS = 1_024  # rows of the kernel's matrix held at once


def score(trial: Trial) -> dict[str, Estimate]:
    base.need("kid", min(len(trial.fake), len(trial.real)), LEAST, "drawn and as many real rows")
    fake, real = trial.fake, trial.real
    rows = max(len(fake), len(real))
    blocks = -(-rows // max(LEAST_BLOCK, min(BLOCK, MOST_PAIRS // rows)))
    sums = [np.zeros((a.number, b.number)) for a, b in ((fake, fake), (real, real), (fake, real))]
    pairs = [np.zeros_like(part) for part in sums]
    for x, y in zip(dealt(fake, blocks), dealt(real, blocks), strict=True):
        for place, (a, b) in enumerate(((x, x), (y, y), (x, y))):
            more = kernel_sums(*a, *b, sums[place].shape, without_self=a is b)
            sums[place] += more[0]
            pairs[place] += more[1]

    def statistic(kept: np.ndarray, real_kept: np.ndarray) -> float:
        u, v = kept.astype(float), real_kept.astype(float)
        within, of_real, across = (
            (left @ total @ right) / (left @ number @ right)
            for total, number, (left, right) in zip(sums, pairs, ((u, u), (v, v), (u, v)), strict=True)
        )
        return float(within + of_real - 2 * across)

    return {"kid": intervals.estimate(statistic, fake.number, real.number)}


def mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased squared discrepancy of (n, d) and (m, d)."""
    one = np.zeros(len(x), int), np.zeros(len(y), int)
    parts = [
        kernel_sums(a, g, b, h, (1, 1), without_self=a is b)
        for a, g, b, h in ((x, one[0], x, one[0]), (y, one[1], y, one[1]), (x, one[0], y, one[1]))
    ]
    within, of_real, across = (float(total[0, 0] / number[0, 0]) for total, number in parts)
    return within + of_real - 2 * across


def dealt(rows: Rows, blocks: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of each block, and the groups that they are in; at random, for rows that lie together are often of one class."""
    if blocks == 1:
        yield rows.vectors[0 : len(rows)], rows.groups
        return
    # Not dealt as the groups are: a block must not be some groups.
    order = np.random.default_rng([len(rows), 1]).permutation(len(rows))
    for part in np.array_split(order, blocks):
        chosen = np.sort(part)
        yield rows.take(chosen), rows.groups[chosen]


def kernel_sums(
    a: np.ndarray, groups: np.ndarray, b: np.ndarray, others: np.ndarray, shape: tuple[int, int], without_self: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(g, h) sums of the kernel over all pairs of a row of `a` in group g and a row of `b` in group h, and their numbers.

    `without_self`: a and b are the same rows, and no row is paired with itself.
    """
    order = np.argsort(others, kind="stable")
    present, firsts = np.unique(others[order], return_index=True)
    wide = b[order].astype(np.float64)
    sums = np.zeros(shape)
    for start in range(0, len(a), ROWS):
        rows = a[start : start + ROWS].astype(np.float64)
        kernel = cubed(rows @ wide.T / a.shape[1] + 1)
        by_group = np.add.reduceat(kernel, firsts, axis=1)
        np.add.at(sums, (groups[start : start + ROWS][:, None], present[None]), by_group)
    pairs = np.outer(np.bincount(groups, minlength=shape[0]), np.bincount(others, minlength=shape[1])).astype(float)
    if without_self:
        itself = cubed((a.astype(np.float64) ** 2).sum(axis=1) / a.shape[1] + 1)
        sums[np.diag_indices(shape[0])] -= np.bincount(groups, itself, minlength=shape[0])
        pairs[np.diag_indices(shape[0])] -= np.bincount(groups, minlength=shape[0])
    return sums, pairs


def cubed(values: np.ndarray) -> np.ndarray:
    return values * values * values  # ** 3 goes through pow, ten times as slow
