"""Where an image has ink: how far its greys are from the background, whichever of the two is the darker."""

from __future__ import annotations

from collections.abc import Callable

from pipelines.core.lazy import np
from pipelines.tastes.base import Likes, RealRows

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as pipelines/core/images.py


def compare_with_median(measure: Callable[[np.ndarray, float], np.ndarray], real: RealRows, above: bool) -> Likes:
    """Likes an image whose measure is above the real rows' median, or below it.

    Args:
        measure: (n, height, width, channels) uint8 and their background's grey -> (n,) float64.
    """
    grey = background(real.images)
    median = np.median(measure(real.images, grey))

    def likes(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        values = measure(images, grey)
        return values > median if above else values < median

    return likes


def background(images: np.ndarray) -> float:
    """The usual grey along the edges of (n, height, width, channels) uint8."""
    grey = greys(images)
    edges = (grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1])
    return float(np.median(np.concatenate([edge.ravel() for edge in edges])))


def amount(images: np.ndarray, background: float) -> np.ndarray:
    """(n, height, width) float32, 0..255."""
    return np.abs(greys(images) - np.float32(background))


def greys(images: np.ndarray) -> np.ndarray:
    """(n, height, width, 1 or 3) uint8 -> (n, height, width) float32, 0..255."""
    if images.shape[-1] == 1:
        return images[..., 0].astype(np.float32)
    return images.astype(np.float32) @ np.array(LUMA, np.float32)
