"""Views: the numbers of an image by which the approval model explains people's judgements."""

from __future__ import annotations

import numpy as np

from pipelines.features.base import Features

COARSE = 4  # cells a side
SURE = 10.0  # in log odds: beyond that a class is as good as certain
AT_ONCE = 4096  # images


def compute(features: Features, images: np.ndarray, labels: np.ndarray | None, of_classes: bool) -> np.ndarray:
    """(n, v) float32.

    The features; the image itself in 4 x 4 cells, because an extractor ignores what does not help to tell its classes apart
    (how heavy strokes are, say), and people do not; and the log odds of the wanted class against the next one, because people
    see an image under its label.

    images: (n, size, size, channels) uint8. labels: (n,) int32, -1 for none; None for a model that takes none.
    of_classes: whether the features' probabilities are over the labels' classes.
    """
    return combine(features, coarse_cells(images), labels, of_classes)


def combine(features: Features, cells: np.ndarray, labels: np.ndarray | None, of_classes: bool) -> np.ndarray:
    """The same for images of which only the cells are at hand, (n, 16 channels) float32."""
    parts = [features.vectors, cells]
    if of_classes and features.probabilities is not None and labels is not None:
        parts.append(label_margins(features.probabilities, labels)[:, None])
    return np.concatenate(parts, axis=1, dtype=np.float32)


def coarse_cells(images: np.ndarray) -> np.ndarray:
    """(n, 16 channels) float32, 0..1: the means of equal cells."""
    size = images.shape[1]
    edges, pixels = np.linspace(0, size, COARSE + 1)[:, None], np.arange(size)
    share = np.clip(np.minimum(pixels + 1, edges[1:]) - np.maximum(pixels, edges[:-1]), 0, None) * (COARSE / size)
    found = np.empty((len(images), COARSE, COARSE, images.shape[3]), np.float32)
    for start in range(0, len(images), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        found[some] = np.einsum("ah,nhwc,bw->nabc", share, images[some].astype(np.float32), share, optimize=True)
    return found.reshape(len(images), -1) / np.float32(255)


def label_margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) float64, the log odds of each row's label against the likeliest other class; 0 without a label."""
    own = np.arange(probabilities.shape[1]) == labels[:, None]
    least = np.exp(-2 * SURE)
    asked, other = (np.where(mask, probabilities, least).max(axis=1).clip(least) for mask in (own, ~own))
    return np.where(labels >= 0, np.clip(np.log(asked) - np.log(other), -SURE, SURE), 0.0)
