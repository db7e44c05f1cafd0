"""Rectified flow: a straight path from noise to data, and a network that predicts its direction at every point of it.

At time t, from 0 (data) to 1 (noise), a point is x_t = (1 - t) x + t n with standard normal n, and the network learns the
velocity n - x (Liu, Gong & Liu 2022, 2209.03003, eq. 1; Lipman et al. 2022, 2210.02747). To generate, one follows it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .lazy import np, ops


def times(normal: Any) -> Any:
    """Times in 0..1 from standard normal numbers: most where the direction is hard to tell, in the midst (Esser et al. 2024,
    2403.03206, eq. 19, with m = 0 and s = 1)."""
    return ops.sigmoid(normal)


def interpolate(data: Any, noise: Any, at: Any) -> Any:
    """x_t; data and noise (batch, ...), at (batch,)."""
    at = ops.reshape(at, (-1, *[1] * (len(data.shape) - 1)))
    return (1.0 - at) * data + at * noise


def integrate(velocity: Callable[[Any, Any], Any], noise: Any, steps: int) -> Any:
    """The data that the flow leads to from `noise`, in `steps` equal steps and as many calls of `velocity(x, t)`, t a scalar.

    Adams and Bashforth's method of second order: as exact as two calls a step, for one.
    """

    def step(number: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        x, before = state
        now = velocity(x, 1.0 - ops.cast(number, "float32") / steps)
        share = ops.where(number == 0, 0.0, 0.5)  # there is none before the first
        return x - ((1.0 + share) * now - share * before) / steps, now

    data, _ = ops.fori_loop(0, steps, step, (noise, ops.zeros_like(noise)))
    return data


def time_features(at: Any, count: int) -> Any:
    """(batch, count) features of times `at`, (batch,) in 0..1: sines and cosines (Vaswani et al. 2017, section 3.5)."""
    frequencies = 1000.0 * np.exp(-np.log(1000.0) * np.linspace(0.0, 1.0, count // 2)).astype(np.float32)
    angles = at[:, None] * frequencies
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=1)
