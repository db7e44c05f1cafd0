"""Cross-fitting: the score of each sample by a model that was not fitted on it, and the strength of penalty that predicts best.

Samples are dealt into five folds of cross-validation (`cv_fold`). Each is scored by a model of the other four; how strong the
penalty of that model is, those four decide among themselves, each scored by models of the other three (Stone, 1974): so the
model's accuracy is not flattered by the choice of its penalty.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pipelines.metrics import intervals
from pipelines.preference.judgements import Judgements
from pipelines.preference.model import PreferenceModel, fit

CV_FOLDS = 5
STRENGTHS = (10.0, 1.0, 0.1, 1e-2, 1e-3, 1e-4)  # of the penalty, times the judgements' weight; the strongest first

Models = dict[tuple[frozenset[int], float], PreferenceModel]  # by the folds that were left out, and the strength


@dataclass(frozen=True)
class CrossFit:
    """cv_folds: (n,) int, the fold of each sample. scores: (n,) float64, out-of-fold log odds that it is liked, not calibrated.

    strength: of the penalty of a model of all judgements.
    """

    cv_folds: np.ndarray
    scores: np.ndarray
    strength: float

    def testable(self, judgements: Judgements) -> Judgements:
        """Those of samples of one fold: there is a model that was fitted on neither."""
        cv_folds = np.append(self.cv_folds, -1)
        return judgements.select(~judgements.choices | (cv_folds[judgements.winners] == cv_folds[judgements.losers]))


def cross_fit(features: np.ndarray, judgements: Judgements) -> CrossFit:
    """features: (n, d) float64."""
    cv_folds = intervals.assign_groups(int(judgements.units.max()) + 1, most=CV_FOLDS)[judgements.units]
    models = fit_all(features, judgements, cv_folds)

    def best_strength(without: frozenset[int]) -> float:
        """The strength with the least loss, minus the log-likelihood of each fold by models without it and without these."""
        losses = np.zeros(len(STRENGTHS))
        for cv_fold in (number for number in range(CV_FOLDS) if number not in without):
            tested, left_out = judgements.within(cv_folds == cv_fold), without | {cv_fold}
            margins = [tested.margins(models[left_out, strength].scores(features)) for strength in STRENGTHS]
            losses += [tested.weights @ np.logaddexp(0, -of_model) for of_model in margins]
        return STRENGTHS[int(losses.argmin())]

    scores = np.zeros(judgements.samples)
    for cv_fold in range(CV_FOLDS):
        own, without = cv_folds == cv_fold, frozenset({cv_fold})
        scores[own] = models[without, best_strength(without)].scores(features[own])
    return CrossFit(cv_folds, scores, best_strength(frozenset()))


def fit_all(features: np.ndarray, judgements: Judgements, cv_folds: np.ndarray) -> Models:
    """Models of every strength, without each fold and without each two."""
    models: Models = {}
    for left_out in [frozenset(some) for size in (1, 2) for some in combinations(range(CV_FOLDS), size)]:
        rest = judgements.within(~np.isin(cv_folds, list(left_out)))
        start = None
        for strength in STRENGTHS:
            start = models[left_out, strength] = fit(features, rest, strength * rest.weights.sum(), start)
    return models


def platt(scores: np.ndarray, judgements: Judgements) -> PreferenceModel:
    """From out-of-fold scores, (n,), to log odds that a sample is liked (Platt, 1999).

    Of N judgements one way, the probability is taken for (N + 1)/(N + 2), so that a few do not pass for certain (section 2.2).
    """
    judgements, scale = judgements.informative(), max(float(scores.std()), 1e-12)
    targets = np.ones(len(judgements))
    for kind in (judgements.likes, judgements.dislikes, judgements.choices):
        number = judgements.weights[kind].sum()
        targets[kind] = (number + 1) / (number + 2)
    calibration = fit(scores[:, None] / scale, judgements.soften(targets), penalty=0.0)
    return PreferenceModel(calibration.direction / scale, calibration.bias)


def out_of_fold(fitted: CrossFit, judgements: Judgements) -> np.ndarray:
    """(n,) float64 log odds that each sample is liked, by a calibration that was not fitted on its fold either."""
    log_odds = np.zeros(judgements.samples)
    for cv_fold in range(CV_FOLDS):
        own = fitted.cv_folds == cv_fold
        log_odds[own] = platt(fitted.scores, judgements.within(~own)).scores(fitted.scores[own, None])
    return log_odds
