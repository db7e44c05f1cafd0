"""Whether a model still draws different images: a GAN that always draws the same one reports fine losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipelines.core.errors import GenloopError
from pipelines.training.dataset import Dataset, of_classes

LEAST = 0.05  # of the real rows' spread
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


def real_spread(dataset: Dataset, classes: np.ndarray) -> float:
    rows = np.concatenate(list(of_classes(dataset, classes, REAL_ROWS)))
    return spread(dataset.images[rows], dataset.labels[rows])


def check(shares: Sequence[float], step: int, at_end: bool = False) -> None:
    """Stop a training whose samples have all been alike.

    Args:
        shares: spread of the samples over that of the real rows, one for each preview so far.

    Raises:
        GenloopError: the last few were all too small, or at the end the last one is.
    """
    last = list(shares)[-1 if at_end else -PATIENCE :]
    if (at_end or len(last) == PATIENCE) and last and not any(share >= LEAST for share in last):
        raise GenloopError(
            f"the model collapsed: at step {step:,} its samples vary {last[-1]:.1%} as much as the real images, "
            f"expected at least {LEAST:.0%}; nothing was saved. "
            "Try another train.seed, more rows, or another model.preset"
        )
