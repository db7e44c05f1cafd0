"""stroke_weight: heavy strokes. An image is liked whose mean grey above the background is over the real rows' median."""

from __future__ import annotations

from typing import Literal

from pipelines.core.lazy import np
from pipelines.tastes import ink
from pipelines.tastes.base import Likes, RealRows, Taste


class StrokeWeight(Taste):
    name: Literal["stroke_weight"]
    prefer: Literal["heavier", "lighter"] = "heavier"

    def fit(self, real: RealRows) -> Likes:
        return ink.compare_with_median(weights, real, self.prefer == "heavier")


def weights(images: np.ndarray) -> np.ndarray:
    """(n,) float64, 0..255."""
    return ink.amount(images).mean(axis=(1, 2), dtype="float64")
