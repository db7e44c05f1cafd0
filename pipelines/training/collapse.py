"""Whether a model still draws different images: a GAN that always draws the same one reports fine losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.core.errors import GenloopError
from pipelines.training.dataset import Dataset, of_classes

LEAST = 0.05  # of what the real rows have
PATIENCE = 4  # previews in a row: an untrained model may draw alike for a while
REAL_ROWS = 256  # of each class, enough for a mean of standard deviations


def spread(images: np.ndarray, labels: np.ndarray) -> float:
    """Mean over pixels of the standard deviation within a class, 0..127.5; 0 where all images of a class are alike.

    Args:
        images: (n, height, width, channels) uint8.
        labels: (n,) int32.
    """
    squares = np.zeros(images.shape[1:], np.float64)
    for label in np.unique(labels):
        group = images[labels == label].astype(np.float64)
        squares += np.square(group - group.mean(axis=0)).sum(axis=0)
    return float(np.sqrt(squares / len(images)).mean())


def apart(images: np.ndarray, labels: np.ndarray) -> float:
    """How far an image is from the nearest other one of its class, on average: root mean squared difference of pixels, 0..255.

    Near 0 where a class is drawn as few images again and again, however far these are from each other.
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
    """What real rows have, of as many as a preview shows for `apart`, which grows with their number."""

    spread: float
    apart: float

    @classmethod
    def of(cls, dataset: Dataset, labels: np.ndarray) -> Self:
        """labels: of a preview's images."""
        classes, counts = np.unique(labels, return_counts=True)
        many, few = (np.concatenate(list(of_classes(dataset, classes, most))) for most in (REAL_ROWS, int(counts.max())))
        return cls(spread(dataset.images[many], dataset.labels[many]), apart(dataset.images[few], dataset.labels[few]))

    def shares(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """What drawn images have, over what the real ones have."""
        found = {"spread": (spread(images, labels), self.spread), "apart": (apart(images, labels), self.apart)}
        return {name: round(drawn / max(real, 1e-9), 4) for name, (drawn, real) in found.items()}


def smaller(history: Sequence[Mapping[str, float]]) -> list[float]:
    return [min(entry["spread"], entry["apart"]) for entry in history]


def check(shares: Sequence[float], step: int, at_end: bool = False) -> None:
    """Stop a training whose samples have all been alike.

    Args:
        shares: the smaller of both shares of `Variety`, one for each preview so far.

    Raises:
        GenloopError: the last few were all too small, or at the end the last one is.
    """
    last = list(shares)[-1 if at_end else -PATIENCE :]
    if (at_end or len(last) == PATIENCE) and last and not any(share >= LEAST for share in last):
        raise GenloopError(
            f"the model collapsed: at step {step:,} its samples differ {last[-1]:.1%} as much as real images do, "
            f"expected at least {LEAST:.0%}; nothing was saved. "
            "Try another train.seed, more rows, or another model.preset"
        )
