"""memorisation: share of generated images that are nearer to a training row than to any held-out row, in feature space, of as
many of either (the three-sample test of Meehan et al., 2020, section 2).

0 to 1; 0.5 for a model that has learned the distribution, more for one that copies what it was trained on, less for one that
has not got near it. It sees copies that every other score takes for perfect images. The extractor `domain` was trained on the
training rows and may tell them from others a little. Needs 50 generated, training and held-out rows.
"""

from __future__ import annotations

from pipelines.metrics import base, neighbours
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate

MEANING = "Share of generated images nearer to a training image than to an unseen one; more hints at copies."
NEEDS = "the training rows of a model; `genloop run` has them"
SCORES = (Score("memorisation", "", MEANING, least_rows=50, ideal=0.5, needs=NEEDS),)


def score(comparison: Comparison) -> dict[str, Estimate]:
    if comparison.train is None:
        return {}
    fewest = min(map(len, (comparison.generated, comparison.train, comparison.real)))
    base.require_rows(SCORES, fewest, "generated, training and real rows")
    generated, groups = comparison.generated.subset
    train, real = comparison.train.subset[0], comparison.real.subset[0]
    same = min(len(train), len(real))  # of more rows, the nearest is nearer
    to_train, to_real = (neighbours.nearest(generated, rows[:same])[1] for rows in (train, real))
    return {"memorisation": base.mean((to_train < to_real) + 0.5 * (to_train == to_real), groups, 0.0, 1.0)}
