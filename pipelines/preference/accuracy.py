"""The accuracy of out-of-fold predictions of judgements: their order (AUC), distance (Brier) and reliability."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit

from pipelines.metrics import intervals
from pipelines.metrics.intervals import Estimate
from pipelines.preference.crossfit import CV_FOLDS
from pipelines.preference.judgements import Judgements

BINS = 10  # of the reliability table, at most
LEAST = 20  # judgements in each

# How much wider the interval of a cross-fit is. Leaving judgements out after it shows how the tested ones vary, and not that
# each two samples meet twice, each in the test of a model that was fitted on the other: for k folds the variance is
# (1/k + 1/(k - 1)) / (1/k) times as large (Nadeau & Bengio, 2003, section 4.2).
WIDER = (1 + CV_FOLDS / (CV_FOLDS - 1)) ** 0.5


@dataclass(frozen=True)
class ReliabilityBin:
    """Judgements with similar predictions: the mean prediction, the share that was observed, its interval, and the number of
    their samples."""

    predicted: float
    observed: float
    low: float
    high: float
    count: int


def auc(scores: np.ndarray, cv_folds: np.ndarray, judgements: Judgements) -> Estimate:
    """How often what people preferred scores higher, with its interval; 0.5 is chance.

    For votes it is the area under the ROC curve, the share of pairs of a like and a dislike in which the like scores higher;
    for choices, the share in which the winner does; for both, the mean by their weights. Scores of different models do not
    compare, so pairs are of one cv_fold (Airola et al., 2011). Groups of units are left out for the interval.
    """
    groups = intervals.assign_groups(int(judgements.units.max()) + 1)[judgements.units]
    likes, dislikes, choices = (judgements.select(kind) for kind in (judgements.likes, judgements.dislikes, judgements.choices))
    order, ranks = np.unique(np.stack([cv_folds, scores], axis=1), axis=0, return_inverse=True)
    ranks, starts = ranks.ravel(), np.searchsorted(order[:, 0], order[:, 0])
    ends = np.searchsorted(order[:, 0], order[:, 0], side="right")
    margins = choices.margins(scores)
    correct = choices.weights * ((margins > 0) + 0.5 * (margins == 0))

    def statistic(mask: np.ndarray, _: np.ndarray) -> float:
        inside = np.append(mask[groups], True)
        up, down = (
            np.bincount(ranks[sample], kind.weights * inside[sample], len(order))
            for kind, sample in ((likes, likes.winners), (dislikes, dislikes.losers))
        )
        below = np.append(0.0, np.cumsum(down))
        concordant = up @ (below[:-1] - below[starts] + 0.5 * down)
        pairs = up @ (below[ends] - below[starts])
        stay = inside[choices.winners] & inside[choices.losers]
        votes, chosen = up.sum() + down.sum() if pairs else 0.0, choices.weights[stay].sum()
        if not votes + chosen:
            return 0.5
        return float((votes * (concordant / pairs if pairs else 0.0) + correct[stay].sum()) / (votes + chosen))

    found = intervals.estimate(statistic, int(groups.max()) + 1, 0, 0.0, 1.0)
    return replace(found, generated=WIDER * found.generated, pairs=WIDER * found.pairs)


def predictions(log_odds: np.ndarray, judgements: Judgements) -> tuple[np.ndarray, np.ndarray]:
    """(m,) probabilities that a sample is liked, or that the first of two is chosen, and (m,) whether it was so."""
    swapped = judgements.dislikes | (judgements.choices & (judgements.winners > judgements.losers))
    margins = judgements.margins(log_odds)
    return expit(np.where(swapped, -margins, margins)), (~swapped).astype(float)


def brier(predicted: np.ndarray, observed: np.ndarray, weights: np.ndarray) -> float:
    """The mean squared distance (Brier, 1950): 0 for perfect predictions, 0.25 for a constant prediction of one half."""
    return float(np.average((predicted - observed) ** 2, weights=weights))


def log_loss(predicted: np.ndarray, observed: np.ndarray, weights: np.ndarray) -> float:
    """Minus the mean logarithm of the probability of what was observed; 0.69 for a constant prediction of one half."""
    likely = np.where(observed > 0.5, predicted, 1 - predicted)
    return float(-np.average(np.log(np.maximum(likely, 1e-12)), weights=weights))


def reliability(predicted: np.ndarray, observed: np.ndarray, judgements: Judgements) -> list[ReliabilityBin]:
    """Bins of about as many judgements each, from the least likely to the most.

    Intervals are Wilson's (1927) for as many judgements as count equally (Kish, 1965); those of one sample count as one,
    because they depend on each other.
    """
    bins = min(BINS, max(1, len(judgements) // LEAST))
    edges = np.quantile(predicted, np.arange(1, bins) / bins)
    place = np.searchsorted(edges, predicted, side="right")
    sample = np.minimum(judgements.winners, judgements.losers)
    found = []
    for number in np.unique(place):
        inside = place == number
        weights = judgements.weights[inside]
        sample_weights = np.bincount(sample[inside], weights)
        share = float(np.average(observed[inside], weights=weights))
        low, high = intervals.wilson(share, sample_weights.sum() ** 2 / (sample_weights @ sample_weights))
        middle = float(np.average(predicted[inside], weights=weights))
        found.append(ReliabilityBin(middle, share, low, high, int(np.count_nonzero(sample_weights))))
    return found
