"""memorisation: share of drawn images that are nearer to a training row than to any held-out row, in feature space, of as many
of either (the three-sample test of Meehan et al., 2020, section 2).

0 to 1; 0.5 for a model that has learned the distribution, more for one that copies what it was trained on, less for one that
has not got near it. It sees copies that every other score takes for perfect images. The extractor `domain` was trained on the
training rows and may tell them from others a little. Needs 50 drawn, training and held-out rows.
"""

from __future__ import annotations

from pipelines.metrics import base, neighbours
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate

LEAST = 50


def score(trial: Trial) -> dict[str, Estimate]:
    if trial.train is None:
        return {}
    base.need("memorisation", min(map(len, (trial.fake, trial.train, trial.real))), LEAST, "drawn, training and real rows")
    drawn, groups = trial.fake.compared
    train, real = trial.train.compared[0], trial.real.compared[0]
    same = min(len(train), len(real))  # of more rows, the nearest is nearer
    seen, unseen = (neighbours.nearest(drawn, rows[:same])[1] for rows in (train, real))
    return {"memorisation": base.mean((seen < unseen) + 0.5 * (seen == unseen), groups, 0.0, 1.0)}
