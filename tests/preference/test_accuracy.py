"""AUC, Brier score and reliability, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from pipelines.preference import accuracy
from pipelines.preference.judgements import Judgements
from tests.preference import opinions

ONE_FOLD = np.zeros(300, int)


def test_of_votes_the_auc_is_scikit_learn_s() -> None:
    _, log_odds = opinions.taste(300, 0)
    said = opinions.votes(log_odds, 0, each=2)
    weights = np.random.default_rng(0).uniform(0.1, 1, len(said))
    said = Judgements(said.units, said.winners, said.losers, weights)
    scores = np.round(log_odds, 1)  # with ties
    sample = np.minimum(said.winners, said.losers)
    theirs = roc_auc_score(said.likes, scores[sample], sample_weight=weights)
    assert accuracy.auc(scores, ONE_FOLD, said).value == pytest.approx(theirs)


def test_scores_of_other_folds_are_not_compared() -> None:
    _, log_odds = opinions.taste(300, 0)
    said = opinions.votes(log_odds, 0)
    folds = np.arange(300) % 2
    lifted = accuracy.auc(log_odds + 100 * folds, folds, said).value
    assert lifted == pytest.approx(accuracy.auc(log_odds, folds, said).value)


def test_of_choices_the_auc_is_the_share_that_was_foretold() -> None:
    _, log_odds = opinions.taste(300, 0)
    said = opinions.choices(log_odds, 0, 150)
    right = log_odds[said.winners] > log_odds[said.losers]
    assert accuracy.auc(log_odds, ONE_FOLD, said).value == pytest.approx(right.mean())


def test_votes_and_choices_count_by_their_weights() -> None:
    _, log_odds = opinions.taste(300, 0)
    votes, choices = opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 100)
    alone = [accuracy.auc(log_odds, ONE_FOLD, said).value for said in (votes, choices)]
    both = accuracy.auc(log_odds, ONE_FOLD, opinions.together(votes, choices)).value
    assert both == pytest.approx((300 * alone[0] + 100 * alone[1]) / 400)


def test_a_score_that_says_nothing_has_half() -> None:
    _, log_odds = opinions.taste(300, 0)
    said = opinions.together(opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 100))
    assert accuracy.auc(np.zeros(300), ONE_FOLD, said).value == pytest.approx(0.5)


def test_the_interval_is_that_of_many_such_samples_made_wider_for_the_cross_fit() -> None:
    found = []
    for seed in range(40):
        _, log_odds = opinions.taste(300, seed)
        found.append(accuracy.auc(log_odds, ONE_FOLD, opinions.votes(log_odds, seed)))
    reach = np.mean([(estimate.interval.high - estimate.interval.low) / 2 for estimate in found])
    assert reach == pytest.approx(1.98 * accuracy.WIDER * np.std([estimate.value for estimate in found]), rel=0.25)


def test_each_judgement_is_a_forecast() -> None:
    said = Judgements(np.arange(3), np.array([0, 3, 1, 2]), np.array([3, 1, 2, 1]), np.ones(4))
    predicted, observed = accuracy.foretold(np.array([1.0, -1.0, 2.0]), said)
    expected = 1 / (1 + np.exp([-1.0, 1.0, 3.0, 3.0]))  # like of 0; dislike of 1; 1 over 2; 2 over 1, asked as 1 over 2
    assert predicted == pytest.approx(expected)
    assert observed.tolist() == [1, 0, 1, 0]
    assert accuracy.brier(predicted, observed, said.weights) == pytest.approx(brier_score_loss(observed, predicted))


def test_true_probabilities_are_reliable_and_exaggerated_ones_are_not() -> None:
    _, log_odds = opinions.taste(5000, 0)
    said = opinions.together(opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 2000))
    bins, loud = (accuracy.reliability(*accuracy.foretold(scale * log_odds, said), said) for scale in (1, 3))
    assert sum(one.low <= one.predicted <= one.high for one in bins) >= 9
    assert sum(one.low <= one.predicted <= one.high for one in loud) <= 3
    assert [one.predicted for one in bins] == sorted(one.predicted for one in bins)
    assert 5000 <= sum(one.count for one in bins) <= len(said)  # of samples, which may be in several
    assert len(bins) == accuracy.BINS


def test_judgements_of_one_sample_are_worth_one() -> None:
    _, log_odds = opinions.taste(200, 0)
    once, often = (opinions.votes(log_odds, 0, each=each) for each in (1, 50))
    widths = []
    for said in (once, often):
        (one,) = accuracy.reliability(np.full(len(said), 0.5), said.likes.astype(float), said)
        widths.append(one.high - one.low)
    assert widths[1] == pytest.approx(widths[0], rel=0.1)


def test_few_judgements_make_few_bins() -> None:
    _, log_odds = opinions.taste(100, 0)
    said = opinions.votes(log_odds, 0)
    assert len(accuracy.reliability(*accuracy.foretold(log_odds, said), said)) == 5


@pytest.mark.parametrize(
    ("share", "count", "ends"), [(0.5, 10, (0.2366, 0.7634)), (0.0, 20, (0.0, 0.1611)), (0.9, 100, (0.8256, 0.9448))]
)
def test_wilson_s_interval(share: float, count: float, ends: tuple[float, float]) -> None:
    assert accuracy.wilson(share, count) == pytest.approx(ends, abs=1e-4)
