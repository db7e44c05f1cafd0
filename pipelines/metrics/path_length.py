"""path_length: how far the image moves while the latent moves a little (perceptual path length, Karras et al., 2019, section
4.1): the mean over random paths and places t of

    |f(t + ε) - f(t)|² / ε², over the mean squared distance of two real images

with features f and paths of length 1 between two latents, walked as the family says. 0 or more; lower is smoother: 1 means
that images change as evenly as if each path led straight from one real image to another; jumps cost the square. A model that
draws one image whatever the latent scores 0. ε is larger than in the paper, for images are whole greys here. Needs 50 paths.
"""

from __future__ import annotations

import numpy as np

from pipelines.metrics import base, intervals
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate

LEAST = 50


def score(trial: Trial) -> dict[str, Estimate]:
    steps = trial.drawn.steps
    if steps is None:
        return {}
    count = len(steps.here.vectors)
    base.need("path_length", count, LEAST, "paths")
    apart = steps.there.vectors.astype(np.float64) - steps.here.vectors
    lengths = (apart**2).sum(axis=1) / steps.epsilon**2
    groups = intervals.deal(count)
    number = int(groups.max()) + 1
    counts, sums = np.bincount(groups), np.bincount(groups, lengths)

    def statistic(kept: np.ndarray, real_kept: np.ndarray) -> float:
        real = trial.real.moments.pooled(real_kept)
        between = 2 * np.trace(real.scatter) / (real.count - 1)  # of two independent rows, E|x - y|² = 2 tr(covariance)
        return float(sums[kept].sum() / counts[kept].sum() / between)

    return {"path_length": intervals.estimate(statistic, number, trial.real.number, least=0.0)}
