"""What is shown follows the model's distribution times p^(1/T), and by its weights it stands for what the model generates."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.guidance import acceptance


@pytest.mark.parametrize("temperature", [0.25, 1.0, 4.0])
def test_what_is_accepted_follows_the_power_of_how_likely_it_is_liked(temperature: float) -> None:
    random = np.random.default_rng(0)
    liked = random.choice([0.2, 0.5, 0.8], 300_000, p=[0.5, 0.3, 0.2])
    accepted = liked[random.random(len(liked)) < acceptance.acceptance(liked, temperature, 0.8)]
    expected = np.array([0.5, 0.3, 0.2]) * np.array([0.2, 0.5, 0.8]) ** (1 / temperature)
    shares = [(accepted == value).mean() for value in (0.2, 0.5, 0.8)]
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.01)


def test_by_its_weights_what_was_shown_stands_for_what_the_model_generates() -> None:
    random = np.random.default_rng(1)
    generated = random.random(400_000)
    accepted = acceptance.acceptance(generated, 0.3, 1.0)
    chosen = generated[random.random(len(generated)) < accepted][:36_000]
    shown = np.append(generated[:4_000], chosen)  # one in ten is plain
    weights = acceptance.weights(acceptance.acceptance(shown, 0.3, 1.0), accepted.mean())
    assert abs(shown.mean() - 0.5) > 0.2
    assert np.average(shown, weights=weights) == pytest.approx(0.5, abs=0.01)
    assert weights.mean() == pytest.approx(1, abs=0.02)
    assert 0 < weights.min() < weights.max() <= 10
