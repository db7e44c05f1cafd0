"""The model finds what people like, from votes, from choices and from both."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from pipelines.preference import crossfit
from pipelines.preference.judgements import Judgements
from pipelines.preference.model import PreferenceModel, fit
from tests.preference import opinions


def error(found: PreferenceModel, features: np.ndarray, log_odds: np.ndarray) -> float:
    """Root mean square of what the scores are off."""
    return float(np.sqrt(np.mean((found.scores(features) - log_odds) ** 2)))


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_of_votes_it_is_scikit_learn_s_logistic_regression(penalty: float) -> None:
    features, log_odds = opinions.taste(400, 0)
    judgements = opinions.votes(log_odds, 0)
    weights = np.random.default_rng(0).uniform(0.1, 1, len(judgements))
    found = fit(features, Judgements(judgements.units, judgements.winners, judgements.losers, weights), penalty)
    theirs = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(features, judgements.likes, weights)
    assert found.direction == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert found.bias == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_choices_alone_find_the_same_direction() -> None:
    features, log_odds = opinions.taste(2000, 0)
    by_votes = fit(features, opinions.votes(log_odds, 0, each=3), 1.0).direction
    by_choices = fit(features, opinions.choices(log_odds, 0, 6000), 1.0).direction
    assert by_choices == pytest.approx(by_votes, abs=0.15)


def test_choices_alone_put_the_middle_of_what_was_shown_at_a_half() -> None:
    features, log_odds = opinions.taste(500, 0, level=3.0)
    found = fit(features, opinions.choices(log_odds, 0, 250), 1.0)
    assert found.scores(features).mean() == pytest.approx(0, abs=1e-9)


def test_both_together_are_better_than_either() -> None:
    errors: dict[str, list[float]] = {"votes": [], "choices": [], "both": []}
    for seed in range(20):
        features, log_odds = opinions.taste(300, seed, level=0.0)
        votes, choices = opinions.votes(log_odds, seed), opinions.choices(log_odds, seed, 300)
        for name, judgements in (("votes", votes), ("choices", choices), ("both", opinions.together(votes, choices))):
            errors[name].append(error(fit(features, judgements, 3.0), features, log_odds))
    mean = {name: np.mean(found) for name, found in errors.items()}
    assert mean["both"] < 0.9 * min(mean["votes"], mean["choices"])


def test_votes_that_are_all_alike_change_nothing() -> None:
    features, log_odds = opinions.taste(200, 0)
    chosen = opinions.choices(log_odds, 0, 200)
    likes = opinions.votes(np.full(200, 50.0), 0)
    assert fit(features, opinions.together(chosen, likes), 1.0).direction == pytest.approx(
        fit(features, chosen, 1.0).direction, abs=1e-6
    )


def test_a_judgement_of_twice_the_weight_counts_as_two() -> None:
    features, log_odds = opinions.taste(200, 0)
    judgements = opinions.votes(log_odds, 0)
    heavier = Judgements(judgements.units, judgements.winners, judgements.losers, 2 * judgements.weights)
    assert fit(features, opinions.together(judgements, judgements), 1.0).direction == pytest.approx(
        fit(features, heavier, 1.0).direction, abs=1e-5
    )


def test_calibration_brings_scores_back_to_log_odds() -> None:
    _, log_odds = opinions.taste(3000, 0)
    judgements = opinions.together(opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 1000))
    found = crossfit.platt(0.01 * log_odds + 5, judgements)  # a scale of its own
    assert found.scores((0.01 * log_odds + 5)[:, None]) == pytest.approx(log_odds, abs=0.5)


def test_few_judgementsdo_not_make_certain() -> None:
    judgements = opinions.votes(np.array([50.0] * 5 + [-50.0] * 5), 0)
    found = crossfit.platt(np.array([1.0] * 5 + [-1.0] * 5), judgements)
    assert found.scores(np.array([[1.0], [-1.0]])) == pytest.approx([np.log(6), -np.log(6)], abs=0.01)  # (5 + 1)/(5 + 2)
