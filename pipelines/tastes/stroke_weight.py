"""stroke_weight: heavy strokes. An image is liked whose mean grey above the background is over the real rows' median."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipelines.tastes.base import Likes, Real, Taste

if TYPE_CHECKING:
    import numpy as np


class StrokeWeight(Taste):
    name: Literal["stroke_weight"]
    prefer: Literal["heavier", "lighter"] = "heavier"

    def fit(self, real: Real) -> Likes:
        from pipelines.tastes import ink

        return ink.beyond(weights, real, self.prefer == "heavier")


def weights(images: np.ndarray, background: float) -> np.ndarray:
    """(n,) float64, 0..255."""
    from pipelines.tastes import ink

    return ink.amount(images, background).mean(axis=(1, 2), dtype="float64")
