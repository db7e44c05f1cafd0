"""A trained model in a folder, whose family is found through the catalogue, ready to generate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import InputError


class Sampler:
    """classes: names of the classes. conditional: whether it can be asked for one of them."""

    def __init__(self, folder: Path) -> None:
        backend.load()
        from pipelines.models import base

        try:
            about = base.describe(folder)
            self.family = base.load(folder, catalogue.get(catalogue.MODELS, about.family))
        except ValueError as error:
            raise InputError(f"no usable model: {error}; `train` makes one (`genloop run`)") from None
        self.classes = about.classes
        self.conditional = bool(self.family.conditional and about.spec.classes)

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """One image for each seed: (n, size, size, channels) uint8; an image depends on its seed and label only."""
        from pipelines.models import base

        return base.draw(self.family, seeds, labels)

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images at the shares `at` (n,) of the way from each seed to the other one: (n, size, size, channels) uint8."""
        from pipelines.models import base

        return base.walk(self.family, seeds, others, at, labels)


def load(folder: Path) -> Sampler:
    """Raises InputError where `folder` holds no whole model."""
    return Sampler(folder)
