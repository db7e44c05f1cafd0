"""Divergence: losses or weights that are not finite, or losses far beyond those of a training that works."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipelines.core.errors import GenloopError

MOST_LOSS = 1e7  # far beyond every loss of a training that works


def check_losses(losses: Mapping[str, float], step: int) -> None:
    if not all(abs(value) <= MOST_LOSS for value in losses.values()):
        fault = "a loss is not finite" if not all(map(math.isfinite, losses.values())) else f"a loss is beyond {MOST_LOSS:.0e}"
        raise GenloopError(divergence_message(step, losses, fault))


def divergence_message(step: int, losses: Mapping[str, float], fault: str) -> str:
    values = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    return (
        f"the training diverged at step {step:,}: {fault} ({values}); nothing was saved. "
        "Try another train.seed, a larger train.batch_size, or another model.preset"
    )
