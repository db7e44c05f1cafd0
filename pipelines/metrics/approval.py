"""approval: how likely people like a drawn image, on average, by the model of what they like (`approval` in dvc.yaml).

0 to 1; higher is better. It is a forecast, not what people say of these images: what pleases the forecast and nobody else would
score high. The interval is of the images drawn, not of the forecast. Scores of two versions compare only by one and the same
model of what people like. Needs that model, and 20 images.
"""

from __future__ import annotations

from pipelines.metrics import base
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate, NotEnoughError

LEAST = 20


def score(trial: Trial) -> dict[str, Estimate]:
    predicted = trial.drawn.approval
    if predicted is None and trial.benchmark.ids is None:  # of no project, so there are no people who like anything
        return {}
    if predicted is None:
        raise NotEnoughError(
            "approval needs more votes or choices: what people like is not known yet, or not better than by chance "
            "(data/reports/approval.json)"
        )
    base.need("approval", len(predicted), LEAST, "drawn rows")
    return {"approval": base.mean(predicted, trial.fake.groups, 0.0, 1.0)}
