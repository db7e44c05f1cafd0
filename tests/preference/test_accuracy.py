"""AUC, Brier score and reliability, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from pipelines.metrics import intervals
from pipelines.preference import accuracy
from pipelines.preference.judgements import Judgements
from tests.preference import opinions

ONE_FOLD = np.zeros(300, int)


def test_of_votes_the_auc_is_scikit_learn_s() -> None:
    _, log_odds = opinions.taste(300, 0)
    judgements = opinions.votes(log_odds, 0, each=2)
    weights = np.random.default_rng(0).uniform(0.1, 1, len(judgements))
    judgements = Judgements(judgements.units, judgements.winners, judgements.losers, weights)
    scores = np.round(log_odds, 1)  # with ties
    sample = np.minimum(judgements.winners, judgements.losers)
    theirs = roc_auc_score(judgements.likes, scores[sample], sample_weight=weights)
    assert accuracy.auc(scores, ONE_FOLD, judgements).value == pytest.approx(theirs)


def test_scores_of_other_folds_are_not_compared() -> None:
    _, log_odds = opinions.taste(300, 0)
    judgements = opinions.votes(log_odds, 0)
    folds = np.arange(300) % 2
    lifted = accuracy.auc(log_odds + 100 * folds, folds, judgements).value
    assert lifted == pytest.approx(accuracy.auc(log_odds, folds, judgements).value)


def test_of_choices_the_auc_is_the_share_that_was_foretold() -> None:
    _, log_odds = opinions.taste(300, 0)
    judgements = opinions.choices(log_odds, 0, 150)
    right = log_odds[judgements.winners] > log_odds[judgements.losers]
    assert accuracy.auc(log_odds, ONE_FOLD, judgements).value == pytest.approx(right.mean())


def test_votes_and_choices_count_by_their_weights() -> None:
    _, log_odds = opinions.taste(300, 0)
    votes, choices = opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 100)
    alone = [accuracy.auc(log_odds, ONE_FOLD, judgements).value for judgements in (votes, choices)]
    both = accuracy.auc(log_odds, ONE_FOLD, opinions.together(votes, choices)).value
    assert both == pytest.approx((300 * alone[0] + 100 * alone[1]) / 400)


def test_a_score_that_says_nothing_has_half() -> None:
    _, log_odds = opinions.taste(300, 0)
    judgements = opinions.together(opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 100))
    assert accuracy.auc(np.zeros(300), ONE_FOLD, judgements).value == pytest.approx(0.5)


def test_the_interval_is_that_of_many_such_samples_made_wider_for_the_cross_fit() -> None:
    found = []
    for seed in range(40):
        _, log_odds = opinions.taste(300, seed)
        found.append(accuracy.auc(log_odds, ONE_FOLD, opinions.votes(log_odds, seed)))
    reach = np.mean([(estimate.interval.high - estimate.interval.low) / 2 for estimate in found])
    assert reach == pytest.approx(1.98 * accuracy.WIDER * np.std([estimate.value for estimate in found]), rel=0.25)


def test_each_judgement_is_a_forecast() -> None:
    judgements = Judgements(np.arange(3), np.array([0, 3, 1, 2]), np.array([3, 1, 2, 1]), np.ones(4))
    predicted, observed = accuracy.predictions(np.array([1.0, -1.0, 2.0]), judgements)
    expected = 1 / (1 + np.exp([-1.0, 1.0, 3.0, 3.0]))  # like of 0; dislike of 1; 1 over 2; 2 over 1, asked as 1 over 2
    assert predicted == pytest.approx(expected)
    assert observed.tolist() == [1, 0, 1, 0]
    assert accuracy.brier(predicted, observed, judgements.weights) == pytest.approx(brier_score_loss(observed, predicted))


def test_true_probabilities_are_reliable_and_exaggerated_ones_are_not() -> None:
    _, log_odds = opinions.taste(5000, 0)
    judgements = opinions.together(opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 2000))
    bins, loud = (accuracy.reliability(*accuracy.predictions(scale * log_odds, judgements), judgements) for scale in (1, 3))
    assert sum(one.low <= one.predicted <= one.high for one in bins) >= 9
    assert sum(one.low <= one.predicted <= one.high for one in loud) <= 3
    assert [one.predicted for one in bins] == sorted(one.predicted for one in bins)
    assert 5000 <= sum(one.count for one in bins) <= len(judgements)  # of samples, which may be in several
    assert len(bins) == accuracy.BINS


def test_judgementsof_one_sample_are_worth_one() -> None:
    _, log_odds = opinions.taste(200, 0)
    once, often = (opinions.votes(log_odds, 0, each=each) for each in (1, 50))
    widths = []
    for judgements in (once, often):
        (one,) = accuracy.reliability(np.full(len(judgements), 0.5), judgements.likes.astype(float), judgements)
        widths.append(one.high - one.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_few_judgementsmake_few_bins() -> None:
    _, log_odds = opinions.taste(100, 0)
    judgements = opinions.votes(log_odds, 0)
    assert len(accuracy.reliability(*accuracy.predictions(log_odds, judgements), judgements)) == 5


@pytest.mark.parametrize(
    ("share", "count", "ends"), [(0.5, 10, (0.2366, 0.7634)), (0.0, 20, (0.0, 0.1611)), (0.9, 100, (0.8256, 0.9448))]
)
def test_wilson_s_interval(share: float, count: float, ends: tuple[float, float]) -> None:
    assert intervals.wilson(share, count) == pytest.approx(ends, abs=1e-4)
