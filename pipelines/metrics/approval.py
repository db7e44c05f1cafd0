"""approval: how likely people like a generated image, on average, by the model of what they like (`approval` in dvc.yaml).

0 to 1; higher is better. It is a forecast, not what people say of these images: what pleases the forecast and nobody else would
score high. The interval is of the images, not of the forecast. Scores of two versions compare only by one and the same
model of what people like. Needs that model, and 20 images.
"""

from __future__ import annotations

from pipelines.metrics import base
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate, NotEnoughError

MEANING = "How likely people like a generated image, says a model that learned from their votes and choices."
NEEDS = "a model of what people like; `genloop run` has it"
SCORES = (Score("approval", "higher", MEANING, least_rows=20, needs=NEEDS, by_votes=True),)


def score(comparison: Comparison) -> dict[str, Estimate]:
    predicted = comparison.candidate.approval
    if predicted is None and comparison.benchmark.ids is None:  # outside of a project nobody has voted
        return {}
    if predicted is None:
        raise NotEnoughError(
            "approval needs more votes or choices: what people like is not known yet, or not better than by chance "
            "(data/reports/approval.json)"
        )
    base.require_rows(SCORES, len(predicted), "generated rows")
    return {"approval": base.mean(predicted, comparison.generated.groups, 0.0, 1.0)}
