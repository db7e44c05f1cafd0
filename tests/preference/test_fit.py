"""What is fitted is right, honest about itself, and nothing where there is nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pipelines.preference import fit
from pipelines.preference.fit import FittedPreference, Spread
from pipelines.preference.judgements import Judgements
from tests.preference import opinions

STRETCH = 2.0 ** np.arange(opinions.WIDTH)  # features of different sizes
SHIFT = 7.0


def learn(features: np.ndarray, judgements: Judgements) -> FittedPreference:
    usual = np.random.default_rng(5).standard_normal((500, features.shape[1]))
    seen, real = ((STRETCH[: features.shape[1]] * some + SHIFT).astype(np.float32) for some in (features, usual))
    return fit.learn(seen, judgements, Spread.of(real))


def true_auc(log_odds: np.ndarray) -> float:
    """Of who knows the log odds."""
    p = expit(log_odds)
    order = np.argsort(log_odds)
    below = np.cumsum((1 - p)[order]) - (1 - p)[order]
    return float((p[order] @ below) / (p.sum() * (1 - p).sum() - (p * (1 - p)).sum()))


@pytest.mark.parametrize("kind", ["votes", "choices", "both"])
def test_a_taste_is_found_and_its_probabilities_are_right(kind: str) -> None:
    features, log_odds = opinions.taste(1200, 0)
    votes, choices = opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 600)
    judgements = {"votes": votes, "choices": choices, "both": opinions.together(votes, choices)}[kind]
    fitted = learn(features, judgements)
    assert fitted.significant
    if kind != "choices":
        assert fitted.auc.value == pytest.approx(true_auc(log_odds), abs=0.04)
    assert fitted.auc.interval.low < true_auc(log_odds) < fitted.auc.interval.high
    assert sum(one.low <= one.predicted <= one.high for one in fitted.bins) >= len(fitted.bins) - 2

    fresh, truth = opinions.taste(2000, 1)  # from images nobody has judged
    scores = fitted.model.scores(STRETCH * fresh + SHIFT)
    level = 0.3 if kind == "choices" else 0.0  # which choices do not tell
    assert expit(scores + level) == pytest.approx(expit(truth), abs=0.12)
    assert np.corrcoef(scores, truth)[0, 1] > 0.97


def test_votes_shuffled_among_samples_are_not_significant() -> None:
    significant = 0
    for seed in range(20):
        features, log_odds = opinions.taste(120, seed, strength=3)
        significant += learn(features, opinions.votes(log_odds, seed, shuffled=True)).significant
    assert significant <= 1


@pytest.mark.slow
@pytest.mark.parametrize("each", [1, 5])
def test_votes_shuffled_among_samples_are_not_significant_in_95_of_100_cases(each: int) -> None:
    significant = 0
    for seed in range(200):
        features, log_odds = opinions.taste(200, seed, strength=3)
        significant += learn(features, opinions.votes(log_odds, seed, each, shuffled=True)).significant
    assert significant <= 10


def test_a_clear_taste_is_significant_from_few_votes() -> None:
    significant = 0
    for seed in range(5):
        features, log_odds = opinions.taste(150, seed, strength=3)
        significant += learn(features, opinions.votes(log_odds, seed)).significant
    assert significant == 5


def test_a_feature_that_real_rows_do_not_have_is_not_made_loud() -> None:
    features, log_odds = opinions.taste(300, 0)
    features = np.column_stack([features, np.zeros((300, 2))]).astype(np.float32)
    features[:30, -1] = 50  # in some drawn images, and next to never in real ones; the one before is nowhere
    real = np.random.default_rng(0).standard_normal((500, 8)).astype(np.float32)
    real[:, -2:] = 0
    real[0, -1] = 0.001
    fitted = fit.learn(features, opinions.votes(log_odds, 0), Spread.of(real))
    assert np.ptp(fitted.model.scores(features)) < 15
    assert fitted.model.direction[-2] == 0


def test_it_is_the_same_at_every_call() -> None:
    features, log_odds = opinions.taste(150, 0)
    first, second = (learn(features, opinions.votes(log_odds, 0)) for _ in range(2))
    assert np.array_equal(first.model.direction, second.model.direction)
    assert first.auc.interval == second.auc.interval
