"""Real rows weigh by approval, as far as their effective share allows, and classes keep theirs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.preference import weights
from pipelines.preference.weights import STRONGEST, effective_share


def weigh(p: np.ndarray, labels: np.ndarray, floor: float) -> np.ndarray:
    return weights.tilt(p, labels, weights.strength(p, labels, floor))


@st.composite
def rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(1, 60))
    p = draw(arrays(np.float64, count, elements=st.floats(0, 1)))
    return p, draw(arrays(np.int32, count, elements=st.integers(-1, 3)))


@settings(max_examples=200, deadline=None)
@given(rows(), st.floats(0.05, 1))
def test_the_effective_share_is_kept_and_classes_keep_theirs(made: tuple[np.ndarray, np.ndarray], floor: float) -> None:
    p, labels = made
    w = weigh(p, labels, floor)
    assert effective_share(w) >= floor * (1 - 1e-12)
    assert (w > 0).all()
    for label in np.unique(labels):
        assert w[labels == label].mean() == pytest.approx(1)
        order = np.argsort(p[labels == label], kind="stable")
        assert (np.diff(w[labels == label][order]) >= 0).all()


@settings(max_examples=50, deadline=None)
@given(rows(), st.floats(0.05, 0.99))
def test_no_more_would_be_allowed(made: tuple[np.ndarray, np.ndarray], floor: float) -> None:
    p, labels = made
    strength = weights.strength(p, labels, floor)
    if strength < STRONGEST:
        assert effective_share(weights.tilt(p, labels, strength * 1.01 + 1e-3)) < floor


def test_a_floor_of_one_leaves_all_alike() -> None:
    p = np.random.default_rng(0).random(500)
    assert weigh(p, np.arange(500) % 3, 1.0) == pytest.approx(np.ones(500))


def test_approval_that_hardly_differs_is_not_made_much_of() -> None:
    p = 0.5 + 0.01 * np.random.default_rng(0).standard_normal(500)
    w = weigh(p, np.zeros(500, int), 0.5)
    assert weights.strength(p, np.zeros(500, int), 0.5) == STRONGEST
    assert w.max() < 1.5


def test_half_of_the_rows_is_what_a_half_says() -> None:
    p = (np.arange(1000) % 2).astype(float)
    w = weigh(p, np.zeros(1000, int), 0.6)
    assert effective_share(w) == pytest.approx(0.6)
    assert effective_share(np.array([2.0, 0.0])) == 0.5
    assert (w * p).mean() > 0.85
