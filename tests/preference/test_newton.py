"""Newton's method finds what L-BFGS finds, and its predictions without a judgement are those of a fit without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.preference import newton
from pipelines.preference.model import fit
from tests.preference import opinions


def both(penalty: float) -> tuple[np.ndarray, np.ndarray]:
    features, log_odds = opinions.taste(300, 0)
    judged = opinions.together(opinions.votes(log_odds, 0), opinions.choices(log_odds, 0, 100))
    width = features.shape[1] + 1
    penalties = np.append(np.full(width - 1, penalty), 0.0)
    rows = newton.differences(features, judged)
    found = newton.fit(rows, judged.weights, penalties, np.zeros(width), np.zeros(width)).theta
    known = fit(features, judged, penalty)
    return found, np.append(known.direction, known.bias)


@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_it_finds_the_same_model(penalty: float) -> None:
    np.testing.assert_allclose(*both(penalty), atol=1e-3)


def test_with_an_endless_penalty_it_stays_at_the_centre() -> None:
    features, log_odds = opinions.taste(100, 0)
    judged = opinions.votes(log_odds, 0)
    centre = np.arange(7.0)
    rows = newton.differences(features, judged)
    found = newton.fit(rows, judged.weights, np.full(7, 1e9), np.zeros(7), centre).theta
    np.testing.assert_allclose(found, centre, atol=1e-4)


def test_a_gaussian_about_the_fit_stands_for_its_judgements_when_others_come() -> None:
    features, log_odds = opinions.taste(600, 0)
    judged = opinions.votes(log_odds, 0)
    early = np.arange(len(judged)) < 570
    rows, width, penalty = newton.differences(features, judged), features.shape[1], 3.0
    first, zeros = fit(features, judged.select(early), penalty), np.zeros(width + 1)
    precision = newton.precision_at(features, judged.select(early), first, penalty)
    centre = np.append(first.direction, first.bias)
    found = newton.fit(rows[~early], judged.weights[~early], precision, centre, centre).theta
    exact = newton.fit(rows, judged.weights, np.append(np.full(width, penalty), 0.0), zeros, zeros).theta
    assert np.linalg.norm(found - exact) < 0.05 * np.linalg.norm(centre - exact)


def test_a_judgement_is_predicted_as_by_a_fit_without_it() -> None:
    features, log_odds = opinions.taste(60, 1)
    judged = opinions.votes(log_odds, 1)
    rows, zeros = newton.differences(features, judged), np.zeros(7)
    penalties = np.full(7, 2.0)
    found = newton.fit(rows, judged.weights, penalties, zeros, zeros)
    exact = []
    for place in range(len(rows)):
        rest = np.arange(len(rows)) != place
        exact.append(rows[place] @ newton.fit(rows[rest], judged.weights[rest], penalties, zeros, zeros).theta)
    np.testing.assert_allclose(found.margins_without(rows), exact, atol=0.05)
    assert np.abs(found.margins - exact).max() > 0.1  # which the fit itself is not


def test_a_sample_is_predicted_as_by_a_fit_without_its_votes() -> None:
    features, log_odds = opinions.taste(60, 2)
    judged = opinions.votes(log_odds, 2, each=3)
    model = fit(features, judged, 2.0)
    found = newton.scores_without(features, judged, model, 2.0)
    exact = []
    for sample in range(len(features)):
        about = (judged.winners == sample) | (judged.losers == sample)
        exact.append(fit(features, judged.select(~about), 2.0).scores(features[sample : sample + 1])[0])
    np.testing.assert_allclose(found, exact, atol=0.1)
    assert np.abs(model.scores(features) - exact).max() > 0.2


def test_choices_are_predicted_as_by_a_fit_without_them() -> None:
    features, log_odds = opinions.taste(120, 4)
    judged = opinions.choices(log_odds, 4, 60)  # each sample in one choice
    model = fit(features, judged, 2.0)
    found = judged.margins(newton.scores_without(features, judged, model, 2.0))
    everything = np.arange(60)
    exact = [judged.margins(fit(features, judged.select(everything != one), 2.0).scores(features))[one] for one in everything]
    assert np.corrcoef(found, exact)[0, 1] > 0.98
    assert np.abs(found - exact).mean() < 0.5 * np.abs(judged.margins(model.scores(features)) - exact).mean()


def test_votes_of_no_weight_change_nothing() -> None:
    features, log_odds = opinions.taste(80, 3)
    judged = opinions.votes(log_odds, 3)
    half = np.arange(80) < 40
    rows, zeros, penalties = newton.differences(features, judged), np.zeros(7), np.ones(7)
    ignored = newton.fit(rows, replace(judged, weights=half.astype(float)).weights, penalties, zeros, zeros).theta
    np.testing.assert_allclose(ignored, newton.fit(rows[half], np.ones(40), penalties, zeros, zeros).theta, atol=1e-6)
