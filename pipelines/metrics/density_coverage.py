"""density and coverage of the drawn images (Naeem et al., 2020, equations 3 and 4). Higher is better.

    density:  how many balls of real rows, which reach to the fifth neighbour, a drawn image lies in, over five; 0 or more,
              1 for real images
    coverage: share of real rows in whose ball at least one drawn image lies; 0 to 1

Against precision and recall they are robust to single stray rows, and coverage needs no manifold of the drawn images. Density
rewards images in the thick of the data; neither sees copies. Coverage grows with the number of drawn images. At most 10,000
rows of either side are compared. The interval takes the balls as given. Needs 50 rows on either side.
"""

from __future__ import annotations

from pipelines.metrics import base
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate

LEAST = 50
NEIGHBOURHOOD = base.NEIGHBOURS.index(5)


def score(trial: Trial) -> dict[str, Estimate]:
    base.need("density and coverage", min(len(trial.fake), len(trial.real)), LEAST, "drawn and as many real rows")
    found = trial.membership
    within = found.drawn_in_real[NEIGHBOURHOOD] / base.NEIGHBOURS[NEIGHBOURHOOD]
    return {
        "density": base.mean(within, trial.fake.compared[1], 0.0, float("inf")),
        "coverage": base.mean(found.real_reached[NEIGHBOURHOOD], trial.real.compared[1], 0.0, 1.0, real=True),
    }
