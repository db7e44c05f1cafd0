"""Fits the model of preferences to judgements, and measures how well it predicts judgements that it was not fitted on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import limit_threads
from pipelines.preference import accuracy, crossfit, newton
from pipelines.preference.accuracy import ReliabilityBin
from pipelines.preference.judgements import Judgements
from pipelines.preference.model import PreferenceModel, fit

CHANCE = 0.5


@dataclass(frozen=True)
class Spread:
    """mean, deviation: (d,) float64, of each feature over real rows, by which its scale is known.

    prior: (d,) float64, how much each is expected to matter: the deviation of a Gaussian prior of its weight, in any unit.
    """

    mean: np.ndarray
    deviation: np.ndarray
    prior: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, prior: np.ndarray | None = None) -> Spread:
        """rows: (t, d) float32. prior: (d,); None: all features are expected to matter equally."""
        prior = np.ones(rows.shape[1]) if prior is None else prior
        return cls(rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64), prior)


@dataclass(frozen=True)
class FittedPreference:
    """model: of features as the extractor gives them, calibrated. auc, brier, bins: of out-of-fold predictions.

    mean, scale: (d,) float64; the fit is of features minus `mean` over `scale`. fitted: that fit, not calibrated. penalty: of
    its squares. calibration: from its log odds to calibrated ones.
    """

    model: PreferenceModel
    auc: Estimate
    brier: float
    bins: list[ReliabilityBin]
    mean: np.ndarray
    scale: np.ndarray
    fitted: PreferenceModel
    penalty: float
    calibration: PreferenceModel

    @property
    def significant(self) -> bool:
        """Whether the whole interval of the AUC is above chance."""
        return self.auc.interval.low > CHANCE

    def calibrated(self, fitted: PreferenceModel) -> PreferenceModel:
        """A model of features as the extractor gives them, from one of scaled features, such as `fitted` or a further fit."""
        slope = float(self.calibration.direction[0])
        direction = slope * fitted.direction / self.scale
        return PreferenceModel(direction, slope * fitted.bias + self.calibration.bias - float(self.mean @ direction))


def learn(vectors: np.ndarray, judgements: Judgements, real: Spread, liked: np.ndarray | None = None) -> FittedPreference:
    """A model of n judged samples.

    It is fitted to votes whose mistakes others have corrected as far as they can, and calibrated, and tested, by the votes
    as they were cast: how likely people like an image means how likely they say so.

    Args:
        vectors: (n, d) float32, their features.
        real: of the same features of real rows.
        liked: (n,) float64, the probability by all votes on a sample that it is right to like it; None: as each vote says.
    """
    # A feature that real rows hardly have and generated images do must not become louder than the others.
    scale = np.maximum(real.deviation, vectors.std(axis=0, dtype=np.float64))
    scale[scale == 0] = 1.0
    scale /= real.prior  # so that one penalty suits all
    features = (vectors - real.mean) / scale
    with limit_threads(vectors.shape[1]):
        softened = judgements if liked is None else judgements.soften_votes(liked)
        fitted = crossfit.cross_fit(features, softened)
        tested = fitted.testable(judgements)
        penalty = fitted.strength * softened.weights.sum()
        final = fit(features, softened, penalty)
        # Its own predictions of what it has not seen, because models of fewer judgements would make it out to be less sure; but
        # where judgements leave nearly no doubt, these, which are a first order, may be worse than those of such models.
        unseen = replace(fitted, scores=newton.scores_without(features, softened, final, penalty))
        trials = [accuracy.predictions(crossfit.out_of_fold(one, tested), tested) for one in (unseen, fitted)]
        losses = [accuracy.log_loss(*trial, tested.weights) for trial in trials]
        best = int(np.argmin(losses))
        (predicted, observed), of_best = trials[best], (unseen, fitted)[best]
        calibration = crossfit.platt(of_best.scores, judgements if of_best is unseen else tested)
    found = FittedPreference(
        model=final,
        auc=accuracy.auc(fitted.scores, fitted.cv_folds, tested),
        brier=accuracy.brier(predicted, observed, tested.weights),
        bins=accuracy.reliability(predicted, observed, tested),
        mean=real.mean,
        scale=scale,
        fitted=final,
        penalty=float(penalty),
        calibration=calibration,
    )
    return replace(found, model=found.calibrated(final))
