"""kid: kernel inception distance (Bińkowski et al., 2018, section 4): the squared maximum mean discrepancy of two sets of
features under the kernel k(x, y) = (xᵀy / d + 1)³, in its unbiased form (Gretton et al., 2012, equation 3).

Around 0 for equal distributions, where it may fall below; lower is better. Unlike `fid` it is unbiased with few rows and
compares all moments up to the third; it does not see copies of the training rows, and its scale depends on the extractor.
Large sets are compared in random blocks of rows, so that time goes with the rows. Needs 50 rows on either side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipelines.core.lazy import np
from pipelines.metrics import base, intervals
from pipelines.metrics.base import Comparison, FeatureRows, Score
from pipelines.metrics.intervals import Estimate

MEANING = "Squared maximum mean discrepancy under a cubic kernel, a distance: about 0, or just below, for real images."
SCORES = (Score("kid", "lower", MEANING, least_rows=50),)
BLOCK, LEAST_BLOCK = 10_000, 1_000  # most and least rows of a block, in which all are compared with all
MOST_PAIRS = 500_000_000  # about as many comparisons are made in all, by smaller blocks where there are more rows
ROWS = 1_024  # rows of the kernel's matrix held at once


def score(comparison: Comparison) -> dict[str, Estimate]:
    base.require_rows(SCORES, min(len(comparison.generated), len(comparison.real)), "generated and as many real rows")
    generated, real = comparison.generated, comparison.real
    rows = max(len(generated), len(real))
    blocks = -(-rows // max(LEAST_BLOCK, min(BLOCK, MOST_PAIRS // rows)))
    sums = [np.zeros((a.group_count, b.group_count)) for a, b in ((generated, generated), (real, real), (generated, real))]
    pairs = [np.zeros_like(part) for part in sums]
    for x, y in zip(random_blocks(generated, blocks), random_blocks(real, blocks), strict=True):
        for place, (a, b) in enumerate(((x, x), (y, y), (x, y))):
            block_sums, block_pairs = kernel_sums(*a, *b, sums[place].shape, without_self=a is b)
            sums[place] += block_sums
            pairs[place] += block_pairs

    def statistic(mask: np.ndarray, real_mask: np.ndarray) -> float:
        u, v = mask.astype(float), real_mask.astype(float)
        within, of_real, across = (
            (left @ total @ right) / (left @ number @ right)
            for total, number, (left, right) in zip(sums, pairs, ((u, u), (v, v), (u, v)), strict=True)
        )
        return float(within + of_real - 2 * across)

    found = intervals.estimate(statistic, generated.group_count, real.group_count, ideal=0.0)
    return {"kid": replace(found, corrected=found.value)}  # it has no bias that the jackknife could take out


def random_blocks(rows: FeatureRows, blocks: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows of each block, and their groups; at random, because rows that lie together are often of one class."""
    if blocks == 1:
        yield rows.vectors[0 : len(rows)], rows.groups
        return
    # Not divided as the groups are: a block must not be some groups.
    order = np.random.default_rng([len(rows), 1]).permutation(len(rows))
    for part in np.array_split(order, blocks):
        chosen = np.sort(part)
        yield rows.take(chosen), rows.groups[chosen]


def kernel_sums(
    a: np.ndarray, groups: np.ndarray, b: np.ndarray, b_groups: np.ndarray, shape: tuple[int, int], without_self: bool
) -> tuple[np.ndarray, np.ndarray]:
    """(g, h) sums of the kernel over all pairs of a row of `a` in group g and a row of `b` in group h, and their numbers.

    `without_self`: a and b are the same rows, and no row is paired with itself.
    """
    order = np.argsort(b_groups, kind="stable")
    present, starts = np.unique(b_groups[order], return_index=True)
    wide = b[order].astype(np.float64)
    sums = np.zeros(shape)
    for start in range(0, len(a), ROWS):
        rows = a[start : start + ROWS].astype(np.float64)
        kernel = cube(rows @ wide.T / a.shape[1] + 1)
        by_group = np.add.reduceat(kernel, starts, axis=1)
        np.add.at(sums, (groups[start : start + ROWS][:, None], present[None]), by_group)
    pairs = np.outer(np.bincount(groups, minlength=shape[0]), np.bincount(b_groups, minlength=shape[1])).astype(float)
    if without_self:
        diagonal = cube((a.astype(np.float64) ** 2).sum(axis=1) / a.shape[1] + 1)
        sums[np.diag_indices(shape[0])] -= np.bincount(groups, diagonal, minlength=shape[0])
        pairs[np.diag_indices(shape[0])] -= np.bincount(groups, minlength=shape[0])
    return sums, pairs


def cube(values: np.ndarray) -> np.ndarray:
    return values * values * values  # ** 3 goes through pow, ten times as slow
