"""The appearance of images in a few numbers: how bright they are, where they show something and how it is spread, their edges,
their symmetry and their colours. A few judgements say more of a few such numbers than of many."""

from __future__ import annotations

import numpy as np

from pipelines.core import greys

AT_ONCE = 2**22  # pixels
COLUMNS = {1: 16, 3: 19}  # by the number of channels
HALF = 0.5  # of an image's strongest ink: what is above it counts as covered


def measure(images: np.ndarray) -> np.ndarray:
    """(n, 16) float32 of grey images, (n, 19) of colour ones.

    images: (n, height, width, channels) uint8.
    """
    step = max(1, AT_ONCE // max(images[:1].size, 1))
    parts = [measure_some(images[start : start + step]) for start in range(0, max(len(images), 1), step)]
    return np.concatenate(parts)


def measure_some(images: np.ndarray) -> np.ndarray:
    grey = greys.measure(images) / 255
    columns = [*brightness(grey), *shape(greys.ink(grey)), *edges(grey), *asymmetry(grey)]
    if images.shape[3] > 1:
        columns += colours(images.astype(np.float32) / 255)
    return np.stack(columns, axis=1).astype(np.float32)


def mean(values: np.ndarray) -> np.ndarray:
    """(n,) of (n, height, width)."""
    found: np.ndarray = values.mean(axis=(1, 2), dtype=np.float32)
    return found


def brightness(grey: np.ndarray) -> list[np.ndarray]:
    """Mean and standard deviation of greys, (n, height, width) float32, 0..1."""
    return [mean(grey), grey.std(axis=(1, 2))]


def shape(ink: np.ndarray) -> list[np.ndarray]:
    """How much ink there is, (n, height, width), and how much it covers, its centre, and its second central moments (Hu,
    "Visual pattern recognition by moment invariants", 1962, equations 2 and 3), in halves of the side, over the amount."""
    _, height, width = ink.shape
    across, up = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(1, -1, height, dtype=np.float32)
    total = np.maximum(ink.sum(axis=(1, 2)), 1e-6)
    columns, rows = ink.sum(axis=1) / total[:, None], ink.sum(axis=2) / total[:, None]
    x, y = columns @ across, rows @ up
    product = np.einsum("nyx,y,x->n", ink, up, across, optimize=True) / total - x * y
    covered = mean(ink > HALF * ink.max(axis=(1, 2), keepdims=True))
    return [mean(ink), covered, x, y, columns @ across**2 - x**2, rows @ up**2 - y**2, product]


def edges(grey: np.ndarray) -> list[np.ndarray]:
    """How strong edges are, in all and across and up, and their direction at twice its angle, by which edges that run the same
    way are alike (Bigün & Granlund, "Optimal orientation detection of linear symmetry", 1987)."""
    up, across = np.gradient(grey, axis=(1, 2))
    return [mean(np.hypot(across, up)), mean(np.abs(across)), mean(np.abs(up)), mean(across**2 - up**2), mean(2 * across * up)]


def asymmetry(grey: np.ndarray) -> list[np.ndarray]:
    """How far an image differs from its mirror image, left and right exchanged, and top and bottom."""
    return [mean(np.abs(grey - grey[:, :, ::-1])), mean(np.abs(grey - grey[:, ::-1]))]


def colours(pixels: np.ndarray) -> list[np.ndarray]:
    """Means of the opponent colours red-green and yellow-blue (Hasler & Süsstrunk, "Measuring colourfulness in natural images",
    2003), and of how far a pixel's colours differ, of (n, height, width, 3) float32, 0..1."""
    red, green, blue = np.moveaxis(pixels, 3, 0)
    return [mean(red - green), mean((red + green) / 2 - blue), mean(pixels.max(axis=3) - pixels.min(axis=3))]
