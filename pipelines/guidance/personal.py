"""One rater's own taste: everybody's model, pulled towards the votes of that rater.

The penalty is on the distance from everybody's model, which is the same as a Gaussian prior about it. How strong it is, the
rater's own votes decide, each predicted by a fit without it: where they say nothing that everybody's model does not know, it
stays; few move it a little and many a lot. That takes a fit for each strength, so it is decided again when there are a tenth
more votes; meanwhile a vote moves the last fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.guidance.live_model import Judgement, LiveModel, sides_of
from pipelines.preference import newton
from pipelines.scoring.approval import ApprovalModel

# Of the penalty. In scaled features everybody's direction is about as long as 1, so that the weakest lets a rater's be another.
STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)
GROWTH = 10  # one more in so many, and the strength is decided again


@dataclass(frozen=True)
class PersonalFit:
    """theta: (d + 1,) float64. strength: of the penalty, None where everybody's model stays. judgements: that decided it."""

    model: ApprovalModel
    theta: np.ndarray
    strength: float | None
    judgements: int


def fit(live: LiveModel, own: Sequence[Judgement], before: PersonalFit | None = None) -> PersonalFit | None:
    """The taste of a rater with these judgements; None where nothing is known of what people like.

    A rater's last vote on a sample counts. before: the last fit for this rater.
    """
    learned = live.learned
    if live.model is None or learned.fitted is None or not own:
        return None
    assert live.theta is not None
    # Calibrated, as the votes of one rater among many are predicted.
    slope = float(learned.fitted.calibration.direction[0])
    centre = np.append(slope * live.theta[:-1], slope * live.theta[-1] + learned.fitted.calibration.bias)
    if before is None or not 0 <= len(own) - before.judgements <= before.judgements // GROWTH:
        theta, strength = decide(rows_of(live, own), centre)
        judgements = len(own)
    else:
        strength, judgements = before.strength, before.judgements
        theta = centre if strength is None else move(rows_of(live, own), strength, before.theta, centre).theta
    direction = theta[:-1] / learned.fitted.scale
    model = ApprovalModel(direction, float(theta[-1] - learned.fitted.mean @ direction), live.benchmark_id)
    return PersonalFit(model, theta, strength, judgements)


def decide(rows: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, float | None]:
    """The fit, and the strength, by which votes that it has not seen are predicted best. rows: (m, d + 1)."""
    best, strength, begin = centre, None, centre
    least = float(np.logaddexp(0, -(rows @ centre)).mean())  # of everybody's model as it is
    for tried in STRENGTHS:
        fitted = move(rows, tried, begin, centre)
        begin = fitted.theta
        loss = float(np.logaddexp(0, -fitted.margins_without(rows)).mean())
        if loss < least:
            least, best, strength = loss, fitted.theta, tried
    return best, strength


def move(rows: np.ndarray, strength: float, begin: np.ndarray, centre: np.ndarray) -> newton.NewtonFit:
    return newton.fit(rows, np.ones(len(rows)), np.full(len(centre), strength), begin, centre)


def rows_of(live: LiveModel, own: Sequence[Judgement]) -> np.ndarray:
    """(m, d + 1) float64: winner minus loser in scaled features, of each the last judgement of the same samples."""
    sides = [sides_of(event) for event in {frozenset(filter(None, sides_of(event))): event for event in own}.values()]
    samples = list(dict.fromkeys(sample for pair in sides for sample in pair if sample is not None))
    places = {sample: place for place, sample in enumerate(samples)}
    features = live.features_of(samples)
    features = np.append(features, np.zeros((1, features.shape[1])), axis=0)  # of the threshold that votes compare with
    winners, losers = ([-1 if sample is None else places[sample] for sample in column] for column in zip(*sides, strict=True))
    found: np.ndarray = features[winners] - features[losers]
    return found
