"""No sample is foretold by a model that has seen it, or what hangs together with it."""

from __future__ import annotations

import numpy as np

from pipelines.preference import crossfit
from pipelines.preference.crossfit import FOLDS
from pipelines.preference.judgements import Judgements
from tests.preference import opinions


def test_no_model_knows_the_samples_that_it_is_tested_on() -> None:
    """Each sample has a feature of its own, and people like at random: whoever had seen a sample would know the answer."""
    random = np.random.default_rng(0)
    features = np.eye(60)
    said = opinions.votes(random.standard_normal(60), 0, each=3)
    fitted = crossfit.cross_fit(features, said)
    models = crossfit.all_models(features, said, fitted.folds)
    for (unseen, _), model in models.items():
        assert np.abs(model.direction[np.isin(fitted.folds, list(unseen))]).max() < 1e-6
    assert len(models) == (FOLDS + FOLDS * (FOLDS - 1) // 2) * len(crossfit.STRENGTHS)


def test_a_choice_is_tested_only_where_neither_sample_was_trained_on() -> None:
    features, log_odds = opinions.taste(100, 0)
    said = opinions.choices(log_odds, 0, 300)  # each sample in six choices, so that units do not keep them together
    fitted = crossfit.cross_fit(features, said)
    tested = fitted.tested(said)
    assert 0 < len(tested) < len(said)
    assert (fitted.folds[tested.winners] == fitted.folds[tested.losers]).all()


def test_units_stay_in_one_fold() -> None:
    features, log_odds = opinions.taste(100, 0)
    said = opinions.votes(log_odds, 0)
    units = np.arange(100) // 4
    folds = crossfit.cross_fit(features, Judgements(units, said.winners, said.losers, said.weights)).folds
    assert all(len(np.unique(folds[units == unit])) == 1 for unit in range(25))
    assert np.bincount(folds).tolist() == [20] * FOLDS


def test_the_penalty_is_weak_where_much_is_known_and_strong_where_nothing_is_to_know() -> None:
    features, log_odds = opinions.taste(600, 0, strength=3)
    assert crossfit.cross_fit(features, opinions.votes(log_odds, 0)).strength <= 0.1
    strengths = [crossfit.cross_fit(features, opinions.votes(log_odds, seed, shuffled=True)).strength for seed in range(3)]
    assert np.median(strengths) >= 1
