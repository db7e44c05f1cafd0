"""Fits the model of preferences to judgements, and measures how well it predicts judgements that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import limit_threads
from pipelines.preference import accuracy, crossfit
from pipelines.preference.accuracy import ReliabilityBin
from pipelines.preference.judgements import Judgements
from pipelines.preference.model import PreferenceModel, fit

CHANCE = 0.5


@dataclass(frozen=True)
class FittedPreference:
    """model: of features as the extractor gives them, calibrated. auc, brier, bins: of out-of-fold predictions."""

    model: PreferenceModel
    auc: Estimate
    brier: float
    bins: list[ReliabilityBin]

    @property
    def significant(self) -> bool:
        """Whether the whole interval of the AUC is above chance."""
        return self.auc.interval.low > CHANCE


def learn(vectors: np.ndarray, judgements: Judgements, real: np.ndarray) -> FittedPreference:
    """A model of n judged samples.

    Args:
        vectors: (n, d) float32, their features.
        real: (t, d) float32, features of real rows, by which the scale of each feature is known.
    """
    mean = real.mean(axis=0, dtype=np.float64)
    # A feature that real rows hardly have and generated images do must not become louder than the others.
    scale = np.maximum(*(rows.std(axis=0, dtype=np.float64) for rows in (real, vectors)))
    scale[scale == 0] = 1.0
    features = (vectors - mean) / scale
    with limit_threads(vectors.shape[1]):
        fitted = crossfit.cross_fit(features, judgements)
        tested = fitted.testable(judgements)
        final = fit(features, judgements, fitted.strength * judgements.weights.sum())
        calibration = crossfit.platt(fitted.scores, tested)
        predicted, observed = accuracy.predictions(crossfit.out_of_fold(fitted, tested), tested)
    slope = float(calibration.direction[0])
    direction = slope * final.direction / scale
    return FittedPreference(
        PreferenceModel(direction, slope * final.bias + calibration.bias - float(mean @ direction)),
        accuracy.auc(fitted.scores, fitted.cv_folds, tested),
        accuracy.brier(predicted, observed, tested.weights),
        accuracy.reliability(predicted, observed, tested),
    )
