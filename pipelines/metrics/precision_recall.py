"""precision and recall of the generated images (Kynkäänniemi et al., 2019, equations 1 and 2). 0 to 1; higher is better.

    precision: share of generated images within the real manifold: in the ball of a real row that reaches to its third neighbour
    recall:    share of real images within the manifold of the generated ones, in the same way

Precision is the quality of single images, recall the variety of all. A single stray real row can lend precision to whatever
is near it, because its ball is large (`density` is less easily fooled). Neither sees copies. At most 10,000 rows of either side
are compared. The interval takes the manifold as given. Needs 50 rows on either side.

What an ideal model would get is measured on real rows that the extractor has not learned from: precision is the share of new
rows within the manifold of m rows of their own distribution, recall the same for n. The share changes with the logarithm of
the number, and not by much, so where there are fewer such rows it is extrapolated from parts of them.
"""

from __future__ import annotations

from pipelines.core.lazy import np
from pipelines.metrics import base, neighbours
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate

PRECISION = "Share of generated images that look like some real one: how good single images are."
RECALL = "Share of real images that look like some generated one: how much of their variety the model has."
SCORES = (
    Score("precision", "higher", PRECISION, least_rows=50),
    Score("recall", "higher", RECALL, least_rows=50, narrows=False),
)
LEAST_UNSEEN, MOST_UNSEEN = 50, 2_500  # rows on either side that tell what an ideal model would get
PARTS = 4  # of these rows, for how the shares change with their number
NEIGHBOURHOOD = base.NEIGHBOURS.index(3)


@base.once
def score(comparison: Comparison) -> dict[str, Estimate]:
    base.require_rows(SCORES, min(len(comparison.generated), len(comparison.real)), "generated and as many real rows")
    found = comparison.membership
    precision, recall = ideal_shares(comparison)
    return {
        "precision": base.mean(
            found.generated_in_real[NEIGHBOURHOOD] > 0, comparison.generated.subset[1], 0.0, 1.0, ideal=precision
        ),
        "recall": base.mean(
            found.real_in_generated[NEIGHBOURHOOD], comparison.real.subset[1], 0.0, 1.0, real=True, ideal=recall
        ),
    }


def ideal_shares(comparison: Comparison) -> tuple[float | None, float | None]:
    """Precision and recall of an ideal model; None where too few rows tell."""
    unseen, real = comparison.unseen, comparison.real
    if unseen is None or len(unseen) < LEAST_UNSEEN:  # then one half of the held-out rows against the other
        rows = real.choose(2 * MOST_UNSEEN)
        a, b = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    else:
        a, b = unseen.choose(MOST_UNSEEN), real.choose(MOST_UNSEEN)
    if min(len(a), len(b)) < LEAST_UNSEEN:
        return None, None
    k = [base.NEIGHBOURS[NEIGHBOURHOOD]]
    whole = neighbours.membership(a, b, k)
    within_b, within_a = (whole.generated_in_real[0] > 0).mean(), whole.real_in_generated[0].mean()
    parts = [neighbours.membership(a[part::PARTS], b, k).real_in_generated[0].mean() for part in range(PARTS)]
    parts += [(neighbours.membership(a, b[part::PARTS], k).generated_in_real[0] > 0).mean() for part in range(PARTS)]
    slope = ((within_a + within_b) / 2 - np.mean(parts)) / np.log(PARTS)  # for e times as many rows
    shares = [
        share + slope * np.log(min(len(side), base.MOST_ROWS) / count)
        for share, side, count in ((within_b, real, len(b)), (within_a, comparison.generated, len(a)))
    ]
    precision, recall = (float(np.clip(share, 0.0, 1.0)) for share in shares)
    return precision, recall
