"""Previews: images that a model in training generates with averaged weights, from the same seeds and classes every time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image

from pipelines.core import grids
from pipelines.models import base
from pipelines.training.dataset import Dataset

MOST_CLASSES, PER_CLASS, WITHOUT_CLASSES = 16, 8, 64  # how many a preview has


@dataclass(frozen=True)
class PreviewSamples:
    """images: (n, size, size, channels) uint8. labels: (n,) int32."""

    images: np.ndarray
    labels: np.ndarray

    def grid(self, classes: Sequence[str]) -> Image.Image:
        if classes:
            return grids.by_class(self.images, self.labels, classes)
        return grids.grid(self.images, columns=round(len(self.images) ** 0.5))


def labels(dataset: Dataset) -> np.ndarray:
    """(n,) int32: a label for each image of a preview, from classes that have rows."""
    return labels_of(np.unique(dataset.labels).tolist(), bool(dataset.classes))


def labels_of(classes: Sequence[int], conditional: bool) -> np.ndarray:
    """(n,) int32: the same for classes by their numbers, 0 alone for a model without any."""
    return np.repeat(list(classes)[:MOST_CLASSES], PER_CLASS if conditional else WITHOUT_CLASSES).astype(np.int32)


def generate(family: base.Family, labels: np.ndarray) -> PreviewSamples:
    return PreviewSamples(base.draw(family, np.arange(len(labels)), labels), labels)


@contextmanager
def averaged_weights(family: base.Family) -> Iterator[None]:
    """Put the moving averages in place of the weights for a while; the weights come back unchanged to the bit."""
    weights = [base.value(variable) for variable in family.trainable_variables]
    set_averaged_weights(family)
    try:
        yield
    finally:
        for variable, value in zip(family.trainable_variables, weights, strict=True):
            variable.assign(value)


def set_averaged_weights(family: base.Family) -> None:
    """Put the moving averages in place of the weights for good. Keras' `fit` does so as well when it ends."""
    family.optimizer.finalize_variable_values(family.trainable_variables)
    for variable in family.trainable_variables:
        variable.assign(base.value(variable))  # JAX would share the optimizer's own array, and free it when it generates
