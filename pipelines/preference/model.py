"""The model of a preference: P(a over b) = s(w.a - w.b), with s the logistic function (Bradley & Terry, 1952, equation 2, their
abilities a linear function of features). A vote compares a sample with a threshold t (`judgements.py`), so
P(like a) = s(w.a - t): logistic regression. Each judgement counts by its weight, and the squares of w are penalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from pipelines.preference.judgements import Judgements


@dataclass(frozen=True)
class PreferenceModel:
    """direction: (d,) float64. bias: minus the threshold."""

    direction: np.ndarray
    bias: float

    def scores(self, features: np.ndarray) -> np.ndarray:
        """(n,) float64 log odds that each of (n, d) is liked."""
        return features @ self.direction + self.bias


def fit(features: np.ndarray, judgements: Judgements, penalty: float, start: PreferenceModel | None = None) -> PreferenceModel:
    """The most likely model of the judgements, less `penalty` / 2 times the sum of squares of its direction.

    Without votes that differ nothing says where the threshold lies, and it is put amid the samples that were chosen between.

    Args:
        features: (n, d) float64, about as large as each other.
        start: a model that is similar already.
    """
    judgements = judgements.informative()
    width = features.shape[1]
    if not len(judgements):
        return PreferenceModel(np.zeros(width), 0.0)
    begin = np.zeros(width + 1) if start is None else np.append(start.direction, -start.bias)
    unit = 1 / judgements.weights.sum()  # of the loss, so that one tolerance suits few judgements and many

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        scores = np.append(features @ theta[:-1], theta[-1])
        margins = scores[judgements.winners] - scores[judgements.losers]
        value = judgements.weights @ np.logaddexp(0, -margins) + penalty / 2 * (theta[:-1] @ theta[:-1])
        slopes = judgements.weights * -expit(-margins)
        moved = np.bincount(judgements.winners, slopes, len(scores)) - np.bincount(judgements.losers, slopes, len(scores))
        return unit * value, unit * np.append(features.T @ moved[:-1] + penalty * theta[:-1], moved[-1])

    options = {"maxiter": 2_000, "maxfun": 4_000, "ftol": 1e-13, "gtol": 1e-7}
    solution = minimize(loss, begin, jac=True, method="L-BFGS-B", options=options).x
    direction, threshold = solution[:-1], solution[-1]
    if judgements.choices.all():
        threshold = (features @ direction)[np.union1d(judgements.winners, judgements.losers)].mean()
    return PreferenceModel(direction, -float(threshold))
