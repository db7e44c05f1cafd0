"""path_length: how far the image moves while the latent moves a little (perceptual path length, Karras et al., 2019, section
4.1): the mean over random paths and places t of

    |f(t + ε) - f(t)|² / ε², over the mean squared distance of two real images

with features f and paths of length 1 between two latents, walked as the family says. 0 or more; lower is smoother: 1 means
that images change as evenly as if each path led straight from one real image to another; jumps cost the square. A model that
generates one image whatever the latent scores 0. ε is larger than in the paper, because images are whole greys here. Needs 50
paths.
"""

from __future__ import annotations

from pipelines.core.lazy import np
from pipelines.metrics import base, intervals
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate, NothingToMeasureError

MEANING = "How evenly images change while the model's random input moves a little; jumps raise it."
NEEDS = "as A a registered model that can be walked through"
SCORES = (Score("path_length", "lower", MEANING, least_rows=50, needs=NEEDS, latent_steps=True),)


def score(comparison: Comparison) -> dict[str, Estimate]:
    steps = comparison.candidate.steps
    if steps is None:
        if comparison.candidate.no_steps:
            raise NothingToMeasureError(f"path_length is not to be had: {comparison.candidate.no_steps}")
        return {}
    count = len(steps.start.vectors)
    base.require_rows(SCORES, count, "paths")
    change = steps.end.vectors.astype(np.float64) - steps.start.vectors
    lengths = (change**2).sum(axis=1) / steps.epsilon**2
    groups = intervals.assign_groups(count)
    number = int(groups.max()) + 1
    counts, sums = np.bincount(groups), np.bincount(groups, lengths)

    def statistic(mask: np.ndarray, real_mask: np.ndarray) -> float:
        real = comparison.real.moments.pooled(real_mask)
        between = 2 * np.trace(real.scatter) / (real.count - 1)  # of two independent rows, E|x - y|² = 2 tr(covariance)
        return float(sums[mask].sum() / counts[mask].sum() / between)

    return {"path_length": intervals.estimate(statistic, number, comparison.real.group_count, least=0.0)}
