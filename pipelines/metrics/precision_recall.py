"""precision and recall of the generated images (Kynkäänniemi et al., 2019, equations 1 and 2). 0 to 1; higher is better.

    precision: share of generated images within the real manifold: in the ball of a real row that reaches to its third neighbour
    recall:    share of real images within the manifold of the generated ones, in the same way

Precision is the quality of single images, recall the variety of all. A single stray real row can lend precision to whatever
is near it, because its ball is large (`density` is less easily fooled). Neither sees copies. At most 10,000 rows of either side
are compared. The interval takes the manifold as given. Needs 50 rows on either side.
"""

from __future__ import annotations

from pipelines.metrics import base
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate

PRECISION = "Share of generated images that look like some real one: how good single images are."
RECALL = "Share of real images that look like some generated one: how much of their variety the model has."
SCORES = (
    Score("precision", "higher", PRECISION, least_rows=50),
    Score("recall", "higher", RECALL, least_rows=50, narrows=False),
)
NEIGHBOURHOOD = base.NEIGHBOURS.index(3)


def score(comparison: Comparison) -> dict[str, Estimate]:
    base.require_rows(SCORES, min(len(comparison.generated), len(comparison.real)), "generated and as many real rows")
    found = comparison.membership
    return {
        "precision": base.mean(found.generated_in_real[NEIGHBOURHOOD] > 0, comparison.generated.subset[1], 0.0, 1.0),
        "recall": base.mean(found.real_in_generated[NEIGHBOURHOOD], comparison.real.subset[1], 0.0, 1.0, real=True),
    }
