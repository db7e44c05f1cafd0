"""What guidance would show is reckoned without showing it, and the temperature keeps the variety of the real images."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.guidance.acceptance import acceptance
from pipelines.guidance.preview import Preview
from pipelines.scoring.approval import ApprovalModel

COUNT = 600


def preview(labels: np.ndarray | None = None) -> Preview:
    random = np.random.default_rng(0)
    made, real = (random.normal(size=(count, 2)).astype(np.float32) for count in (COUNT, 300))
    return Preview(made, made, labels, made, real)


def likes(strength: float) -> ApprovalModel:
    """People like what is on one side."""
    return ApprovalModel(np.array([strength, 0.0]), 0.0, "id")


def test_the_forecast_is_what_would_be_shown() -> None:
    found, model = preview(), likes(2.0)
    approval = found.predicted(model)
    shares = found.shares(acceptance(approval, 0.5, approval.max()))
    assert shares.sum() == pytest.approx(1)
    shown = np.random.default_rng(1).choice(COUNT, 100_000, p=shares)
    assert found.liked(model, shares) == pytest.approx(approval[shown].mean(), abs=0.005)
    assert found.liked(model) == approval.mean() < found.liked(model, shares)


def test_classes_keep_their_shares_whatever_people_like() -> None:
    labels = (np.arange(COUNT) % 3).astype(np.int32)
    found = preview(labels)
    accepted = np.where(labels == 2, 0.01, 0.9) * np.random.default_rng(2).random(COUNT)
    np.testing.assert_allclose(np.bincount(labels, found.shares(accepted)), [1 / 3] * 3)
    assert found.mean_acceptance(accepted, 2) == pytest.approx(accepted[labels == 2].mean())
    assert found.mean_acceptance(accepted, 7) == found.mean_acceptance(accepted, -1) == accepted.mean()


@pytest.mark.parametrize("strength", [0.0, 1.0, 4.0])
def test_coverage_is_the_share_of_real_rows_that_would_be_reached(strength: float) -> None:
    found, model = preview(), likes(strength)
    random, reached = np.random.default_rng(3), []
    near = np.array([np.partition(((found.real - row) ** 2).sum(axis=1), 5)[5] for row in found.real])
    for _ in range(20):
        fresh = random.normal(size=(20_000, 2))
        accepted = acceptance(model.predict(fresh), 0.3, found.predicted(model).max())
        shown = np.append(fresh[:100], fresh[random.random(len(fresh)) < accepted][:900], axis=0)
        assert len(shown) == 1_000
        reached.append((((found.real[:, None] - shown) ** 2).sum(axis=2) <= near[:, None]).any(axis=1).mean())
    approval = found.predicted(model)
    shares = found.shares(acceptance(approval, 0.3, approval.max()))
    assert found.coverage(shares) == pytest.approx(np.mean(reached), abs=0.05)


@pytest.mark.parametrize("least", [0.5, 0.8, 0.95])
def test_the_temperature_is_raised_until_enough_variety_is_kept(least: float) -> None:
    found, model = preview(), likes(8.0)
    enough = least * found.coverage()
    approval = found.predicted(model)

    def coverage(temperature: float) -> float:
        return found.coverage(found.shares(acceptance(approval, temperature, approval.max())))

    temperature = found.coolest(model, 0.01, least)
    assert coverage(temperature) >= enough
    assert temperature == 0.01 or coverage(0.9 * temperature) < enough
    assert found.coolest(model, 50.0, least) == 50.0  # what is asked for is never made stricter


def test_a_second_model_that_likes_the_opposite_contradicts() -> None:
    found, model = preview(), likes(2.0)
    shares = found.shares(found.predicted(model))
    assert found.contradicts(likes(-1.0), shares)
    assert not found.contradicts(likes(1.0), shares)
