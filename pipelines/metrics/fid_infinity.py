"""fid_infinity: `fid` extrapolated to infinitely many drawn images (Chong & Forsyth, 2020, section 3).

The distance of n drawn images is, but for noise, d + c/n: the line in 1/n through the distances of all of them, of their halves
and of their quarters meets 1/n = 0 at d. (The paper takes 15 random parts; disjoint ones carry less noise.) 0 or more; lower
is better; for comparing models that drew different numbers of images. It sees what `fid` sees. The bias of the held-out rows,
which are the same for every model, stays in the value, not in its interval. Needs five times as many drawn rows as a feature
has dimensions, and more real rows than that has.
"""

from __future__ import annotations

import numpy as np

from pipelines.metrics import base, fid, intervals
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import small_work

PARTS = (1, 2, 4)  # how many parts the drawn images are divided into, one after the other


def score(trial: Trial) -> dict[str, Estimate]:
    fake, real = trial.fake, trial.real
    base.need("fid_infinity", len(fake), 5 * fake.width, "drawn rows")
    base.need("fid_infinity", len(real), real.width + 1, "real rows")
    group = np.arange(fake.number)

    def statistic(kept: np.ndarray, real_kept: np.ndarray) -> float:
        yardstick = real.moments.pooled(real_kept)
        inverses, distances = [], []
        for parts in PARTS:
            for part in range(parts):
                moments = fake.moments.pooled(kept & (group % parts == part))
                inverses.append(1 / moments.count)
                distances.append(fid.frechet(moments, yardstick))
        return float(np.polynomial.Polynomial.fit(inverses, distances, 1)(0.0))

    with small_work(fake.width):
        return {"fid_infinity": intervals.estimate(statistic, fake.number, real.number, least=0.0)}
