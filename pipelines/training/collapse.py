"""Collapse: a model generates the same image again and again. The losses of a GAN may look fine then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.core.errors import GenloopError
from pipelines.training.dataset import Dataset, rows_of_classes

LEAST = 0.05  # of the variety of real rows
PATIENCE = 4  # previews in a row: the images of an untrained model may be alike for a while
REAL_ROWS = 256  # of each class, enough for a mean of standard deviations


def spread(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean over pixels of the standard deviation within a class, 0..127.5; 0 where all images of a class are the same.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) int32.
    """
    squares = np.zeros(images.shape[1:], np.float64)
    for label in np.unique(labels):
        group = images[labels == label].astype(np.float64)
        squares += np.square(group - group.mean(axis=0)).sum(axis=0)
    return float(np.sqrt(squares / len(images)).mean())


def nearest_distance(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance from an image to the nearest other one of its class: root mean squared difference of pixels, 0..255.

    Near 0 where a class is generated as few images again and again, however far these are from each other.
    """
    nearest = []
    for label in np.unique(labels):
        group = images[labels == label].reshape(np.count_nonzero(labels == label), -1).astype(np.float64)
        if len(group) > 1:
            squares = np.square(group[:, None] - group).mean(axis=2)
            np.fill_diagonal(squares, np.inf)
            nearest.append(np.sqrt(squares.min(axis=1)))
    return float(np.concatenate(nearest).mean()) if nearest else 0.0


@dataclass(frozen=True)
class Variety:
    """The variety of real rows; `apart`, the mean `nearest_distance` of as many as a preview has: their number matters."""

    spread: float
    apart: float

    @classmethod
    def measure(cls, dataset: Dataset, labels: np.ndarray) -> Self:
        """labels: of the images of a preview."""
        classes, counts = np.unique(labels, return_counts=True)
        many, few = (rows_of_classes(dataset, classes, most) for most in (REAL_ROWS, int(counts.max())))
        distance = nearest_distance(dataset.images[few], dataset.labels[few])
        return cls(spread(dataset.images[many], dataset.labels[many]), distance)

    def shares(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """The variety of generated images over that of the real ones."""
        pairs = {"spread": (spread(images, labels), self.spread), "apart": (nearest_distance(images, labels), self.apart)}
        return {name: round(generated / max(real, 1e-9), 4) for name, (generated, real) in pairs.items()}


def smaller_shares(history: Sequence[Mapping[str, float]]) -> list[float]:
    return [min(entry["spread"], entry["apart"]) for entry in history]


def check(shares: Sequence[float], step: int, at_end: bool = False) -> None:
    """Stop a training whose samples have all been the same.

    Args:
        shares: the smaller of both shares of `Variety`, one for each preview so far.

    Raises:
        GenloopError: the last few were all too small, or, at the end, the last one is.
    """
    last = list(shares)[-1 if at_end else -PATIENCE :]
    if (at_end or len(last) == PATIENCE) and last and not any(share >= LEAST for share in last):
        raise GenloopError(
            f"the model collapsed: at step {step:,} its samples differ {last[-1]:.1%} as much as real images do, "
            f"expected at least {LEAST:.0%}; nothing was saved. "
            "Try another train.seed, more rows, or another model.preset"
        )
