"""precision and recall of the drawn images (Kynkäänniemi et al., 2019, equations 1 and 2). 0 to 1; higher is better.

    precision: share of drawn images within the real manifold: in the ball of a real row that reaches to its third neighbour
    recall:    share of real images within the drawn manifold, made in the same way

Precision is the quality of single images, recall the variety of all. A single stray real row can lend precision to whatever
is near it, for its ball is large (`density` is less easily fooled). Neither sees copies. At most 10,000 rows of either side
are compared. The interval takes the manifold as given. Needs 50 rows on either side.
"""

from __future__ import annotations

from pipelines.metrics import base
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate

LEAST = 50
NEIGHBOURHOOD = base.NEIGHBOURS.index(3)


def score(trial: Trial) -> dict[str, Estimate]:
    base.need("precision and recall", min(len(trial.fake), len(trial.real)), LEAST, "drawn and as many real rows")
    found = trial.membership
    return {
        "precision": base.mean(found.drawn_in_real[NEIGHBOURHOOD] > 0, trial.fake.compared[1], 0.0, 1.0),
        "recall": base.mean(found.real_in_drawn[NEIGHBOURHOOD], trial.real.compared[1], 0.0, 1.0, real=True),
    }
