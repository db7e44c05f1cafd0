"""Logistic regression by Newton's method, about any centre, and how it predicts each judgement without having seen it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from pipelines.preference.judgements import Judgements
from pipelines.preference.model import PreferenceModel

MOST_STEPS = 100
MOST_HALVINGS = 30
TOLERANCE = 1e-9  # of the loss of one judgement on average, by one more step
RIDGE = 1e-9  # times the weights: where nothing curves, as in features that are sums of others without a penalty


def differences(features: np.ndarray, judgements: Judgements) -> np.ndarray:
    """(m, d + 1) float64: winner minus loser, whose product with direction and bias is by how much the winner is ahead.

    The last column is how the bias counts: 1 for a like, -1 for a dislike, 0 for a choice.
    """
    extended = np.zeros((len(features) + 1, features.shape[1] + 1))
    extended[:-1, :-1], extended[:-1, -1] = features, 1.0
    return extended[judgements.winners] - extended[judgements.losers]


@dataclass(frozen=True)
class NewtonFit:
    """theta: (d,) float64. inverse: (d, d) float64, of the curvature of the loss there.

    margins, slopes, curvatures: (m,) float64, `rows @ theta`, and both derivatives of each judgement's loss by its margin.
    """

    theta: np.ndarray
    inverse: np.ndarray
    margins: np.ndarray
    slopes: np.ndarray
    curvatures: np.ndarray

    def margins_without(self, rows: np.ndarray) -> np.ndarray:
        """(m,) float64: the margin of each judgement by a fit without it, to the first order (Rad & Maleki, 2020, equation 8).

        rows: (m, d), those of the fit.
        """
        leverage = np.einsum("md,de,me->m", rows, self.inverse, rows, optimize=True)
        return self.margins + leverage * self.slopes / np.maximum(1 - leverage * self.curvatures, 1e-6)


def fit(rows: np.ndarray, weights: np.ndarray, precision: np.ndarray, begin: np.ndarray, centre: np.ndarray) -> NewtonFit:
    """theta with the least sum of weights * log(1 + exp(-rows @ theta)) + (theta - centre)' precision (theta - centre) / 2.

    Newton's method, which for logistic regression is iteratively reweighted least squares (McCullagh & Nelder, 1989, section
    2.5), with steps halved until the loss falls. The loss is convex, and from a similar model one or two steps do.

    Args:
        rows: (m, d) float64, what was preferred minus what was not. weights: (m,) float64.
        precision: (d, d) float64, or its diagonal, (d,): a Gaussian prior about `centre` does the same, with its inverse as
            covariance.
        begin, centre: (d,) float64.
    """
    matrix = np.diag(precision) if precision.ndim == 1 else precision
    total = max(float(weights.sum()), 1.0)

    def loss(theta: np.ndarray, margins: np.ndarray) -> float:
        return float(weights @ np.logaddexp(0, -margins) + (theta - centre) @ matrix @ (theta - centre) / 2)

    theta, margins = begin, rows @ begin
    value = loss(theta, margins)
    for _ in range(MOST_STEPS):
        slopes, curvatures = derivatives(weights, margins)
        factor = cho_factor(hessian(rows, curvatures, matrix, total))
        step = cho_solve(factor, rows.T @ slopes + matrix @ (theta - centre))
        for halving in range(MOST_HALVINGS):
            moved = theta - step / 2**halving
            moved_margins = rows @ moved
            lower = loss(moved, moved_margins)
            if lower < value:
                break
        else:
            break
        gain, theta, margins, value = value - lower, moved, moved_margins, lower
        if gain <= TOLERANCE * total:
            break
    inverse = cho_solve(factor, np.eye(len(theta)))
    return NewtonFit(theta, inverse, margins, *derivatives(weights, margins))


def derivatives(weights: np.ndarray, margins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(m,) and (m,): the first and second derivative of each judgement's loss by its margin."""
    wrong = expit(-margins)
    return -weights * wrong, weights * wrong * (1 - wrong)


def hessian(rows: np.ndarray, curvatures: np.ndarray, precision: np.ndarray, total: float) -> np.ndarray:
    """(d, d) float64, the second derivative of the loss by theta. total: of the weights."""
    found = rows.T @ (curvatures[:, None] * rows) + precision
    found[np.diag_indices_from(found)] += RIDGE * total
    return found


def precision_at(features: np.ndarray, judgements: Judgements, model: PreferenceModel, penalty: float) -> np.ndarray:
    """(d + 1, d + 1) float64: how surely the judgements say what direction and bias are, by the curvature of the loss there.

    Its inverse is the covariance of Laplace's approximation (MacKay, 1992, section 2.2): about its least, the loss is nearly
    a square, so that this stands for all these judgements when others come.

    Args:
        features: (n, d) float64. model: the fit to all judgements with this `penalty` on the squares of its direction.
    """
    rows = differences(features, judgements)
    curvatures = derivatives(judgements.weights, judgements.margins(model.scores(features)))[1]
    return hessian(rows, curvatures, np.diag(np.append(np.full(features.shape[1], penalty), 0.0)), judgements.weights.sum())


def scores_without(features: np.ndarray, judgements: Judgements, model: PreferenceModel, penalty: float) -> np.ndarray:
    """(n,) float64 log odds that each sample is liked, by a fit without its judgements, to the first order.

    As in `NewtonFit.margins_without`.

    Args:
        features: (n, d) float64. model: the fit to all judgements with this `penalty` on the squares of its direction.
    """
    judgements = judgements.informative()
    scores = model.scores(features)
    slopes, curvatures = derivatives(judgements.weights, judgements.margins(scores))
    precision = precision_at(features, judgements, model, penalty)
    inverse = cho_solve(cho_factor(precision), np.eye(len(precision)))
    found = scores.copy()
    # A choice says nothing of the bias, which the two samples have in common.
    for kind, width in ((~judgements.choices, len(precision)), (judgements.choices, len(precision) - 1)):
        rows = np.append(features, np.ones((len(features), 1)), axis=1)[:, :width]
        leverage = np.einsum("nd,de,ne->n", rows, inverse[:width, :width], rows, optimize=True)
        slope, curvature = (
            of_samples(judgements.winners[kind], values[kind], len(scores))
            + sign * of_samples(judgements.losers[kind], values[kind], len(scores))
            for values, sign in ((slopes, -1), (curvatures, 1))
        )
        found += leverage * slope / np.maximum(1 - leverage * curvature, 1e-6)
    return found


def of_samples(numbers: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """(count,) sums of values (m,) by the number of their sample; that of the threshold, `count`, is left out."""
    return np.bincount(numbers, values, count + 1)[:count]
