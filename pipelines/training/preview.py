"""What the model draws while it trains: the same seeds and classes every time, with averaged weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.core import grids
from pipelines.models import base
from pipelines.training.dataset import Dataset

MOST_CLASSES, EACH, WITHOUT_CLASSES = 16, 8, 64  # how many are shown


@dataclass(frozen=True)
class Samples:
    """images: (n, size, size, channels) uint8. labels: (n,) int32."""

    images: np.ndarray
    labels: np.ndarray

    def page(self, classes: Sequence[str]) -> Image.Image:
        if classes:
            return grids.by_class(self.images, self.labels, classes)
        return grids.grid(self.images, columns=round(len(self.images) ** 0.5))


def shown(dataset: Dataset) -> np.ndarray:
    """(n,) int32: a label for each image of a preview, from classes that there are rows of."""
    there = np.unique(dataset.labels)
    return np.repeat(there[:MOST_CLASSES], EACH if dataset.classes else WITHOUT_CLASSES).astype(np.int32)


def draw(family: base.Family, labels: np.ndarray) -> Samples:
    return Samples(base.draw(family, np.arange(len(labels)), labels), labels)


@contextmanager
def averaged(family: base.Family) -> Iterator[None]:
    """The moving averages in place of the weights, which come back unchanged to the bit."""
    weights = [base.value(variable) for variable in family.trainable_variables]
    average(family)
    try:
        yield
    finally:
        for variable, value in zip(family.trainable_variables, weights, strict=True):
            variable.assign(value)


def average(family: base.Family) -> None:
    """Put the moving averages in place of the weights for good. Keras' `fit` does so as well when it ends."""
    family.optimizer.finalize_variable_values(family.trainable_variables)
    for variable in family.trainable_variables:
        variable.assign(base.value(variable))  # JAX would share the optimizer's own array, and free it when drawing
