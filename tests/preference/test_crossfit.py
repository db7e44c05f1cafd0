"""No sample is predicted by a model that was fitted on it, or on a sample of its unit."""

from __future__ import annotations

import numpy as np

from pipelines.preference import crossfit
from pipelines.preference.crossfit import CV_FOLDS
from pipelines.preference.judgements import Judgements
from tests.preference import opinions


def test_no_model_knows_the_samples_that_it_is_tested_on() -> None:
    """Each sample has a feature of its own, and people like at random: whoever had seen a sample would know the answer."""
    random = np.random.default_rng(0)
    features = np.eye(60)
    judgements = opinions.votes(random.standard_normal(60), 0, each=3)
    fitted = crossfit.cross_fit(features, judgements)
    models = crossfit.fit_all(features, judgements, fitted.cv_folds)
    for (left_out, _), model in models.items():
        assert np.abs(model.direction[np.isin(fitted.cv_folds, list(left_out))]).max() < 1e-6
    assert len(models) == (CV_FOLDS + CV_FOLDS * (CV_FOLDS - 1) // 2) * len(crossfit.STRENGTHS)


def test_a_choice_is_tested_only_where_neither_sample_was_trained_on() -> None:
    features, log_odds = opinions.taste(100, 0)
    judgements = opinions.choices(log_odds, 0, 300)  # each sample in six choices, so that units do not keep them together
    fitted = crossfit.cross_fit(features, judgements)
    tested = fitted.testable(judgements)
    assert 0 < len(tested) < len(judgements)
    assert (fitted.cv_folds[tested.winners] == fitted.cv_folds[tested.losers]).all()


def test_units_stay_in_one_fold() -> None:
    features, log_odds = opinions.taste(100, 0)
    judgements = opinions.votes(log_odds, 0)
    units = np.arange(100) // 4
    folds = crossfit.cross_fit(features, Judgements(units, judgements.winners, judgements.losers, judgements.weights)).cv_folds
    assert all(len(np.unique(folds[units == unit])) == 1 for unit in range(25))
    assert np.bincount(folds).tolist() == [20] * CV_FOLDS


def test_the_penalty_is_weak_where_much_is_known_and_strong_where_nothing_is_to_know() -> None:
    features, log_odds = opinions.taste(600, 0, strength=3)
    assert crossfit.cross_fit(features, opinions.votes(log_odds, 0)).strength <= 0.1
    strengths = [crossfit.cross_fit(features, opinions.votes(log_odds, seed, shuffled=True)).strength for seed in range(3)]
    assert np.median(strengths) >= 1
