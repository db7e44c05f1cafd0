"""From judgements to what people like: a model, how far it can be believed, and by which figures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import small_work
from pipelines.preference import accuracy, crossfit
from pipelines.preference.accuracy import Bin
from pipelines.preference.judgements import Judgements
from pipelines.preference.model import Linear, fit

CHANCE = 0.5


@dataclass(frozen=True)
class Learned:
    """model: of features as the extractor gives them, calibrated. auc, brier, bins: of judgements of samples that no model had
    seen."""

    model: Linear
    auc: Estimate
    brier: float
    bins: list[Bin]

    @property
    def believed(self) -> bool:
        """Whether it is surely better than chance."""
        return self.auc.interval.low > CHANCE


def learn(vectors: np.ndarray, said: Judgements, usual: np.ndarray) -> Learned:
    """Of n samples.

    Args:
        vectors: (n, d) float32, their features.
        usual: (t, d) float32, features of real rows, which tell how large each feature usually is.
    """
    mean = usual.mean(axis=0, dtype=np.float64)
    # A feature that real rows hardly have and drawn images do must not become louder than the others.
    scale = np.maximum(*(rows.std(axis=0, dtype=np.float64) for rows in (usual, vectors)))
    scale[scale == 0] = 1.0
    features = (vectors - mean) / scale
    with small_work(vectors.shape[1]):
        fitted = crossfit.cross_fit(features, said)
        tested = fitted.tested(said)
        final = fit(features, said, fitted.strength * said.weights.sum())
        calibration = crossfit.platt(fitted.scores, tested)
        predicted, observed = accuracy.foretold(crossfit.honest(fitted, tested), tested)
    slope = float(calibration.direction[0])
    direction = slope * final.direction / scale
    return Learned(
        Linear(direction, slope * final.bias + calibration.bias - float(mean @ direction)),
        accuracy.auc(fitted.scores, fitted.folds, tested),
        accuracy.brier(predicted, observed, tested.weights),
        accuracy.reliability(predicted, observed, tested),
    )
