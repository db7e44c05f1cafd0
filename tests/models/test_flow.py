"""The straight way from noise to data, followed with a velocity that is known."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core import backend

backend.load()

from keras import ops  # noqa: E402

from pipelines.models import flow  # noqa: E402


def test_the_ends_of_the_way_are_data_and_noise() -> None:
    data, noise = np.ones((2, 3), np.float32), np.full((2, 3), 5, np.float32)
    assert np.asarray(flow.interpolate(data, noise, np.array([0.0, 1.0], np.float32))).tolist() == [[1, 1, 1], [5, 5, 5]]
    assert np.asarray(flow.interpolate(data, noise, np.array([0.25, 0.5], np.float32)))[:, 0].tolist() == [2, 3]


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_straight_way_is_exact_in_any_number_of_steps(steps: int) -> None:
    data, noise = np.float32([[1, -2]]), np.float32([[0.5, 3]])
    found = flow.integrate(lambda x, at: ops.convert_to_tensor(noise - data), noise, steps)
    np.testing.assert_allclose(np.asarray(found), data, atol=1e-5)


def test_a_curved_way_is_followed_to_second_order() -> None:
    """Of data N(0, s²) the velocity is known, and so is where the way ends: at s times the noise."""
    scale = 0.5
    noise = np.linspace(-2, 2, 9, dtype=np.float32)[:, None]

    def velocity(x: object, at: object) -> object:
        variance = (1 - at) ** 2 * scale**2 + at**2  # type: ignore[operator]
        return x * (at - (1 - at) * scale**2) / variance  # type: ignore[operator]

    errors = [np.abs(np.asarray(flow.integrate(velocity, noise, steps)) - scale * noise).max() for steps in (16, 32, 64)]
    assert errors[2] < 1e-3
    assert errors[0] / errors[1] > 3
    assert errors[1] / errors[2] > 3


def test_times_lie_between_and_their_waves_tell_them_apart() -> None:
    at = np.asarray(flow.times(np.float32([-9, -1, 0, 1, 9])))
    assert at[2] == 0.5
    assert ((at > 0) & (at < 1)).all()
    waves = np.asarray(flow.time_features(ops.convert_to_tensor(np.linspace(0, 1, 101, dtype=np.float32)), 16))
    assert waves.shape == (101, 16)
    gaps = np.linalg.norm(waves[1:] - waves[:-1], axis=1)
    assert gaps.min() > 0.1
