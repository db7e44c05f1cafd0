"""How well judgements are foretold, by models that had not seen the samples: order (AUC), distance (Brier), and honesty."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import expit, ndtri

from pipelines.metrics import intervals
from pipelines.metrics.intervals import Estimate
from pipelines.preference.crossfit import FOLDS
from pipelines.preference.judgements import Judgements

BINS = 10  # of the reliability table, at most
LEAST = 20  # judgements in each

# Of an interval from a cross-fit. Leaving judgements out after it shows how the tested ones vary, and not that each two samples
# meet twice, each in the test of what the other has taught: for k folds the variance is (1/k + 1/(k - 1)) / (1/k) times as
# large (Nadeau & Bengio, 2003, section 4.2).
WIDER = (1 + FOLDS / (FOLDS - 1)) ** 0.5


@dataclass(frozen=True)
class Bin:
    """Judgements that were foretold alike: how likely it was said to be, how often it was so, its interval; and their samples'
    number."""

    predicted: float
    observed: float
    low: float
    high: float
    count: int


def auc(scores: np.ndarray, folds: np.ndarray, said: Judgements) -> Estimate:
    """How often what people preferred scores higher, with its interval; 0.5 is chance.

    Of votes it is the area under the ROC curve, the share of pairs of a like and a dislike in which the like scores higher; of
    choices, the share in which the winner does; of both, the mean by their weights. Scores of different models do not compare,
    so pairs are of one fold (Airola et al., 2011). Groups of units are left out for the interval.
    """
    groups = intervals.deal(int(said.units.max()) + 1)[said.units]
    likes, dislikes, choices = (said.where(kind) for kind in (said.likes, said.dislikes, said.choices))
    order, ranks = np.unique(np.stack([folds, scores], axis=1), axis=0, return_inverse=True)
    ranks, starts = ranks.ravel(), np.searchsorted(order[:, 0], order[:, 0])
    ends = np.searchsorted(order[:, 0], order[:, 0], side="right")
    margins = choices.margins(scores)
    right = choices.weights * ((margins > 0) + 0.5 * (margins == 0))

    def statistic(kept: np.ndarray, _: np.ndarray) -> float:
        inside = np.append(kept[groups], True)
        up, down = (
            np.bincount(ranks[sample], side.weights * inside[sample], len(order))
            for side, sample in ((likes, likes.winners), (dislikes, dislikes.losers))
        )
        below = np.append(0.0, np.cumsum(down))
        won = up @ (below[:-1] - below[starts] + 0.5 * down)
        pairs = up @ (below[ends] - below[starts])
        stay = inside[choices.winners] & inside[choices.losers]
        votes, chosen = up.sum() + down.sum() if pairs else 0.0, choices.weights[stay].sum()
        if not votes + chosen:
            return 0.5
        return float((votes * (won / pairs if pairs else 0.0) + right[stay].sum()) / (votes + chosen))

    found = intervals.estimate(statistic, int(groups.max()) + 1, 0, 0.0, 1.0)
    return replace(found, drawn=WIDER * found.drawn, pairs=WIDER * found.pairs)


def foretold(log_odds: np.ndarray, said: Judgements) -> tuple[np.ndarray, np.ndarray]:
    """(m,) probabilities that a sample is liked, or that the first of two is chosen, and (m,) whether it was so."""
    swapped = said.dislikes | (said.choices & (said.winners > said.losers))
    margins = said.margins(log_odds)
    return expit(np.where(swapped, -margins, margins)), (~swapped).astype(float)


def brier(predicted: np.ndarray, observed: np.ndarray, weights: np.ndarray) -> float:
    """The mean squared distance (Brier, 1950): 0 for a prophet, 0.25 for who always says a half."""
    return float(np.average((predicted - observed) ** 2, weights=weights))


def reliability(predicted: np.ndarray, observed: np.ndarray, said: Judgements) -> list[Bin]:
    """Bins of about as many judgements each, from the least likely to the most.

    Intervals are Wilson's (1927) for as many judgements as count equally (Kish, 1965); those of one sample count as one, for
    they hang together.
    """
    bins = min(BINS, max(1, len(said) // LEAST))
    edges = np.quantile(predicted, np.arange(1, bins) / bins)
    place = np.searchsorted(edges, predicted, side="right")
    sample = np.minimum(said.winners, said.losers)
    found = []
    for number in np.unique(place):
        inside = place == number
        weights = said.weights[inside]
        together = np.bincount(sample[inside], weights)
        share = float(np.average(observed[inside], weights=weights))
        low, high = wilson(share, together.sum() ** 2 / (together @ together))
        middle = float(np.average(predicted[inside], weights=weights))
        found.append(Bin(middle, share, low, high, int(np.count_nonzero(together))))
    return found


def wilson(share: float, count: float) -> tuple[float, float]:
    """Where the share for endlessly many lies, in 95 of 100 cases."""
    z = float(ndtri((1 + intervals.LEVEL) / 2))
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)
