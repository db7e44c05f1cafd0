"""fid_infinity: `fid` extrapolated to infinitely many generated images (Chong & Forsyth, 2020, section 3).

The distance of n generated images is, but for noise, d + c/n: the line in 1/n through the distances of all of them, of their
halves and of their quarters meets 1/n = 0 at d. (The paper takes 15 random parts; disjoint ones carry less noise.) 0 or more;
lower is better; for comparing models by different numbers of images. It sees what `fid` sees. The bias of the held-out rows,
which are the same for every model, stays in the value, not in its interval. Needs five times as many generated rows as a
feature has dimensions, and more real rows than that has.
"""

from __future__ import annotations

from pipelines.core.lazy import np
from pipelines.metrics import base, fid, intervals
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import limit_threads

MEANING = "What fid would be with endlessly many generated images, however many were generated."
SCORES = (Score("fid_infinity", "lower", MEANING, rows_per_feature=5),)
PARTS = (1, 2, 4)  # how many parts the generated images are divided into, one after the other


def score(comparison: Comparison) -> dict[str, Estimate]:
    generated, real = comparison.generated, comparison.real
    base.require_rows(SCORES, len(generated), "generated rows", generated.width)
    base.require_rows(fid.SCORES[:1], len(real), "real rows", real.width)
    group = np.arange(generated.group_count)

    def statistic(mask: np.ndarray, real_mask: np.ndarray) -> float:
        yardstick = real.moments.pooled(real_mask)
        inverses, distances = [], []
        for parts in PARTS:
            for part in range(parts):
                moments = generated.moments.pooled(mask & (group % parts == part))
                inverses.append(1 / moments.count)
                distances.append(fid.frechet(moments, yardstick))
        return float(np.polynomial.Polynomial.fit(inverses, distances, 1)(0.0))

    with limit_threads(generated.width):
        return {"fid_infinity": intervals.estimate(statistic, generated.group_count, real.group_count, least=0.0, ideal=0.0)}
