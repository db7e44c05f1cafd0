"""Judges the images of a champion: by the taste itself, and by a classifier that the loop does not use."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipelines.core import backend, rows, shards
from pipelines.tastes.base import Likes, RealRows, Taste


@dataclass(frozen=True)
class Judge:
    """likes: the taste. real: the rows that it was fitted to.

    real_approval: share of the held-out real rows that the taste likes. accuracy: the classifier's, on these rows; None where
        they have no classes, and so there is no classifier.
    """

    likes: Likes
    real: RealRows
    real_approval: float
    accuracy: float | None

    def balance(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, float] | tuple[None, None]:
        """The least and the greatest, over the classes, of the share that the classifier takes for a class over its share of
        `labels`, (n,)."""
        if self.accuracy is None:
            return None, None
        labelled = np.bincount(labels, minlength=len(self.real.classes))
        classified = np.bincount(self.real.classifier.classes(images), minlength=len(labelled))
        ratios = classified[labelled > 0] / labelled[labelled > 0]
        return float(ratios.min()), float(ratios.max())


def fit(taste: Taste, folder: Path) -> Judge:
    """From the real rows in `folder`, which is data/clean.

    Raises:
        InputError: there are too few of them, or the taste needs labels and they have none.
    """
    backend.load()  # for the classifier
    classes = shards.classes(folder)
    train, holdout = rows.load(folder, "train", "real"), rows.load(folder, "holdout", "real")
    real = RealRows(train.images, train.labels, classes)
    likes = taste.fit(real)
    labelled = holdout.labels >= 0 if classes else np.ones(len(holdout), bool)
    images, labels = holdout.images[labelled], holdout.labels[labelled]
    accuracy = float((real.classifier.classes(images) == labels).mean()) if len(classes) > 1 else None
    return Judge(likes, real, float(likes(images, labels).mean()), accuracy)
