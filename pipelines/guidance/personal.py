"""One rater's own taste: everybody's model, pulled towards the votes of that rater.

The penalty is on the distance from everybody's model, which is the same as a Gaussian prior about it. How strong it is, the
rater's own votes decide, each predicted by a fit without it: where they say nothing that everybody's model does not know, it
stays; few move it a little and many a lot.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.guidance.live_model import Judgement, LiveModel, sides_of
from pipelines.preference import newton
from pipelines.scoring.approval import ApprovalModel

# Of the penalty. In scaled features everybody's direction is about as long as 1, so that the weakest lets a rater's be another.
STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)


def fit(live: LiveModel, own: Sequence[Judgement]) -> ApprovalModel | None:
    """The model of a rater with these judgements; None where nothing is known of what people like.

    A rater's last vote on a sample counts.
    """
    learned = live.learned
    if live.model is None or learned.fitted is None or not own:
        return live.model
    assert live.theta is not None
    last = {frozenset(filter(None, sides_of(event))): event for event in own}
    rows = np.stack([row_of(live, event) for event in last.values()])
    # Calibrated, as the votes of one rater among many are predicted.
    slope = float(learned.fitted.calibration.direction[0])
    centre = np.append(slope * live.theta[:-1], slope * live.theta[-1] + learned.fitted.calibration.bias)
    weights, best = np.ones(len(rows)), centre
    least = float(np.logaddexp(0, -(rows @ centre)).mean())  # of everybody's model as it is
    for strength in STRENGTHS:
        fitted = newton.fit(rows, weights, np.full(len(centre), strength), centre, centre)
        loss = float(np.logaddexp(0, -fitted.margins_without(rows)).mean())
        if loss < least:
            least, best = loss, fitted.theta
    direction = best[:-1] / learned.fitted.scale
    return ApprovalModel(direction, float(best[-1] - learned.fitted.mean @ direction), live.benchmark_id)


def row_of(live: LiveModel, event: Judgement) -> np.ndarray:
    """(d + 1,) winner minus loser."""
    winner, loser = (0 if sample is None else live.features_of(sample) for sample in sides_of(event))
    return np.asarray(winner - loser)
