"""random: a fixed random network. It needs no training, for tests and quick looks; it sees little of shape."""

from __future__ import annotations

from typing import Self

import numpy as np

from pipelines.features import network
from pipelines.features.base import Settings

FROM_FILE = False
LEARNS = False


class Random(network.Network):
    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: Settings) -> Self:
        model = network.build(images.shape[1:], outputs=1, seed=settings.seed)
        return cls(model, "a random network, not trained", of_classes=False)
