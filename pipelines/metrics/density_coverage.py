"""density and coverage of the generated images (Naeem et al., 2020, equations 3 and 4). Higher is better.

    density:  how many balls of real rows, which reach to the fifth neighbour, a generated image lies in, over five; 0 or
              more, 1 for real images
    coverage: share of real rows in whose ball at least one generated image lies; 0 to 1

Against precision and recall they are robust to single stray rows, and coverage needs no manifold of the generated images.
Density rewards images in the thick of the data; neither sees copies. Coverage grows with the number of generated images: of n
of an ideal model, against m real rows, it is on average (the paper's lemma 2, for whatever distribution without equal rows)

    1 - (m - 1) ... (m - k) / ((n + m - 1) ... (n + m - k)),  k = 5

At most 10,000 rows of either side are compared. The interval takes the balls as given. Needs 50 rows on either side.
"""

from __future__ import annotations

from pipelines.core.lazy import np
from pipelines.metrics import base
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate

DENSITY = "How closely real images surround the generated ones; about 1 for real images themselves."
COVERAGE = "Share of real images that have a generated one close by: variety again, not fooled by strays."
SCORES = (
    Score("density", "higher", DENSITY, least_rows=50),
    Score("coverage", "higher", COVERAGE, least_rows=50, narrows=False),
)
NEIGHBOURHOOD = base.NEIGHBOURS.index(5)


@base.once
def score(comparison: Comparison) -> dict[str, Estimate]:
    base.require_rows(SCORES, min(len(comparison.generated), len(comparison.real)), "generated and as many real rows")
    found = comparison.membership
    generated, real = len(comparison.generated.subset[0]), len(comparison.real.subset[0])
    within = found.generated_in_real[NEIGHBOURHOOD] / base.NEIGHBOURS[NEIGHBOURHOOD]
    return {
        "density": base.mean(within, comparison.generated.subset[1], 0.0, float("inf"), ideal=1.0),
        "coverage": base.mean(
            found.real_reached[NEIGHBOURHOOD],
            comparison.real.subset[1],
            0.0,
            1.0,
            real=True,
            ideal=ideal_coverage(generated, real, base.NEIGHBOURS[NEIGHBOURHOOD]),
        ),
    }


def ideal_coverage(generated: float, real: int, k: int) -> float:
    """Of so many images of an ideal model: 1 - the chance that the nearest k to a real row, of all others, are real."""
    missed = np.arange(1, k + 1)
    return float(1 - np.prod((real - missed) / (generated + real - missed)))
