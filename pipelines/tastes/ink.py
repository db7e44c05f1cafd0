"""Tastes by the ink of images: how far their greys are from their background."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.core import greys
from pipelines.core.lazy import np
from pipelines.tastes.base import Likes, RealRows


def compare_with_median(measure: Callable[[np.ndarray], np.ndarray], real: RealRows, above: bool) -> Likes:
    """Likes an image whose measure is above the real rows' median, or below it.

    Args:
        measure: (n, height, width, channels) uint8 -> (n,) float64.
    """
    median = np.median(measure(real.images))

    def likes(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        values = measure(images)
        return values > median if above else values < median

    return likes


def amount(images: np.ndarray) -> np.ndarray:
    """(n, height, width) float32, 0..255, of (n, height, width, channels) uint8."""
    return greys.ink(greys.measure(images))
