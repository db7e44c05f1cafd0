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
        import numpy as np

        from pipelines.tastes import ink

        background = ink.background(real.images)
        middle = np.median(weights(real.images, background))
        sign = 1 if self.prefer == "heavier" else -1

        def likes(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
            return sign * (weights(images, background) - middle) > 0

        return likes


def weights(images: np.ndarray, background: float) -> np.ndarray:
    """(n,) float64, 0..255."""
    from pipelines.tastes import ink

    return ink.amount(images, background).mean(axis=(1, 2), dtype="float64")
