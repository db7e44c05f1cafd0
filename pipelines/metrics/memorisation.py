"""memorisation: share of generated images that are nearer to a training row than to any held-out row, in feature space, of as
many of either (the three-sample test of Meehan et al., 2020, section 2).

The training rows are some that the extractor has not learned from. To it they are like the held-out rows, so an ideal model
gets 0.5, whatever the extractor. Images that are nearer still to a training row that it has learned from tell nothing and are
left out: a model that copies all of its training rows alike would else be seen by the few of its images that copy the others.
A copier gets 1. Copies of none but the rows that the extractor has learned from are not seen. 0 to 1; it sees copies that every
other score takes for perfect images.

Images unlike any real ones (noise, say) are all nearest to the same few rows, and which side those are of is chance. So the
interval counts real rows, not images: with c images nearest to a row, of n in all, it is that of n² / Σc² observations. Needs
50 of these, and 50 generated, training and held-out rows. Where there are fewer, and most images are farther from every real
row than real rows are from each other, they are surely no copies, and there is nothing to measure.
"""

from __future__ import annotations

from pipelines.core.lazy import np
from pipelines.metrics import base, intervals, neighbours
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate, NotEnoughError, NothingToMeasureError

MEANING = "Share of generated images nearer to a training image than to an unseen one; more hints at copies."
NEEDS = "the training rows of a model; `genloop run` has them"
SCORES = (Score("memorisation", "", MEANING, least_rows=50, ideal=0.5, needs=NEEDS),)


def score(comparison: Comparison) -> dict[str, Estimate]:
    unseen = comparison.unseen
    if unseen is None:
        return {}
    fewest = min(map(len, (comparison.generated, unseen, comparison.real)))
    base.require_rows(SCORES, fewest, "generated rows, training rows that the extractor has not learned from, and real rows")
    same = min(len(unseen), len(comparison.real), base.MOST_ROWS)  # of more rows, the nearest is nearer
    generated = comparison.generated.subset[0]
    train, real = unseen.choose(same), comparison.real.choose(same)
    (train_row, to_train), (real_row, to_real) = (neighbours.nearest(generated, rows) for rows in (train, real))
    copied = (to_train < to_real) + 0.5 * (to_train == to_real)
    nearest = np.where(to_train <= to_real, train_row, same + real_row)
    to_any = np.minimum(to_train, to_real)
    if (learned := comparison.learned) is not None:
        to_learned = neighbours.nearest(generated, learned)[1]
        copied, nearest = copied[to_any <= to_learned], nearest[to_any <= to_learned]
        to_any = np.minimum(to_any, to_learned)
    images = np.bincount(nearest, minlength=2 * same)
    if (observations := count_observations(images)) < SCORES[0].least_rows:
        far = np.median(to_any) > np.median(neighbours.nearest(real, train)[1])
        raise (NothingToMeasureError if far else NotEnoughError)(
            f"memorisation needs images that are nearest to {SCORES[0].least_rows} different real rows or more; these are "
            f"nearest to about {observations:.0f}, so it would be chance"
        )
    return {"memorisation": estimate_share(copied, images)}


def count_observations(images: np.ndarray) -> float:
    """Of how many different rows images are nearest to. images: (r,) how many are nearest to each row."""
    return float(images.sum() ** 2 / max((images.astype(float) ** 2).sum(), 1.0))


def estimate_share(copied: np.ndarray, images: np.ndarray) -> Estimate:
    """The mean of (n,) `copied` with its interval. images: (2 s,) how many are nearest to each of s training rows and then of s
    held-out ones.

    With which side each row is of left to chance, s of either side, the sum of images at training rows has the variance
    Σ (c - mean of c)² / 4 but for a factor of 1 + 1 / 2s (Cochran, 1977, theorem 2.2).
    """
    share, total, rows = float(copied.mean()), images.sum(), len(images)
    groups = intervals.assign_groups(rows)
    number = int(groups.max()) + 1
    sides = np.arange(rows) < rows // 2
    deviations = np.bincount(groups, (images - images.mean()) * (sides - share), minlength=number) / total
    if share in (0.0, 1.0):
        deviations = intervals.end_deviations(share, count_observations(images), number)
    return Estimate(share, share, np.zeros(0), deviations, np.zeros((3, 0)), least=0.0, most=1.0, ideal=SCORES[0].ideal)
