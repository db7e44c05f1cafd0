"""Greys of images, and how far they are from the image's background."""

from __future__ import annotations

from pipelines.core.lazy import np

LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as pipelines/core/images.py


def measure(images: np.ndarray) -> np.ndarray:
    """(n, height, width) float32, 0..255, of (n, height, width, 1 or 3) uint8."""
    if images.shape[-1] == 1:
        return images[..., 0].astype(np.float32)
    return images.astype(np.float32) @ np.array(LUMA, np.float32)


def ink(greys: np.ndarray) -> np.ndarray:
    """(n, height, width) float32: how far greys (n, height, width) are from the background, whichever of the two is the darker.

    An image's background is the median grey along its own edges, because images may lie on grounds of different colours.
    """
    borders = np.concatenate([greys[:, 0], greys[:, -1], greys[:, :, 0], greys[:, :, -1]], axis=1)
    return np.abs(greys - np.median(borders, axis=1)[:, None, None].astype(np.float32))
