"""Each judgement foretold by a model that has seen neither of its samples, and how strong a penalty foretells best.

Samples are dealt into five folds. A fold is foretold by a model of the other four, and how strong the penalty of that model is,
those four decide among themselves, each foretold by models of the other three (Stone, 1974): what is said of the model's worth
is not flattered by its having been chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipelines.metrics import intervals
from pipelines.preference.judgements import Judgements
from pipelines.preference.model import Linear, fit

FOLDS = 5
STRENGTHS = (10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4)  # of the penalty, times the judgements' weight; the strongest first

Models = dict[tuple[frozenset[int], float], Linear]  # which folds it has not seen, and its strength


@dataclass(frozen=True)
class CrossFit:
    """folds: (n,) int, which each sample is in. scores: (n,) float64, log odds that it is liked, not calibrated, by the model
    that has not seen the fold. strength: of the penalty of a model of all that was said."""

    folds: np.ndarray
    scores: np.ndarray
    strength: float

    def tested(self, said: Judgements) -> Judgements:
        """Those of samples of one fold, so that one model has seen neither."""
        folds = np.append(self.folds, -1)
        return said.where(~said.choices | (folds[said.winners] == folds[said.losers]))


def cross_fit(features: np.ndarray, said: Judgements) -> CrossFit:
    """Of (n, d) float64 features."""
    folds = intervals.deal(int(said.units.max()) + 1, most=FOLDS)[said.units]
    models = all_models(features, said, folds)
    scores = np.zeros(said.samples)
    for fold in range(FOLDS):
        mine = folds == fold
        inner = [(frozenset({fold, other}), other) for other in range(FOLDS) if other != fold]
        scores[mine] = models[frozenset({fold}), best(features, said, folds, models, inner)].scores(features[mine])
    outer = [(frozenset({fold}), fold) for fold in range(FOLDS)]
    return CrossFit(folds, scores, best(features, said, folds, models, outer))


def all_models(features: np.ndarray, said: Judgements, folds: np.ndarray) -> Models:
    """Of every strength, without each fold and without each two."""
    models: Models = {}
    for unseen in [frozenset(some) for size in (1, 2) for some in combinations(range(FOLDS), size)]:
        seen = said.among(~np.isin(folds, list(unseen)))
        near = None
        for strength in STRENGTHS:
            near = models[unseen, strength] = fit(features, seen, strength * seen.weights.sum(), near)
    return models


def best(
    features: np.ndarray, said: Judgements, folds: np.ndarray, models: Models, tests: Iterable[tuple[frozenset[int], int]]
) -> float:
    """The strength with the least loss; a test is of models that have not seen some folds, on one of those."""
    losses = np.zeros(len(STRENGTHS))
    for unseen, fold in tests:
        judged = said.among(folds == fold)
        losses += [loss(models[unseen, strength], features, judged) for strength in STRENGTHS]
    return STRENGTHS[int(losses.argmin())]


def loss(model: Linear, features: np.ndarray, said: Judgements) -> float:
    """Minus the log-likelihood of what was said."""
    margins = said.margins(model.scores(features))
    return float(said.weights @ np.logaddexp(0, -margins))


def platt(scores: np.ndarray, said: Judgements) -> Linear:
    """From scores, (n,), to log odds that a sample is liked, where the scores are by models that had not seen it (Platt, 1999).

    Of N judgements one way, the probability is taken for (N + 1)/(N + 2), so that a few do not pass for certain (section 2.2).
    """
    said, scale = said.telling(), max(float(scores.std()), 1e-12)
    targets = np.ones(len(said))
    for kind in (said.likes, said.dislikes, said.choices):
        number = said.weights[kind].sum()
        targets[kind] = (number + 1) / (number + 2)
    found = fit(scores[:, None] / scale, said.softened(targets), penalty=0.0)
    return Linear(found.direction / scale, found.bias)


def honest(fitted: CrossFit, said: Judgements) -> np.ndarray:
    """(n,) float64 log odds that each sample is liked, where the calibration has not seen its fold either."""
    log_odds = np.zeros(said.samples)
    for fold in range(FOLDS):
        mine = fitted.folds == fold
        log_odds[mine] = platt(fitted.scores, said.among(~mine)).scores(fitted.scores[mine, None])
    return log_odds
