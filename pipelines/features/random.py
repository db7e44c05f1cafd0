"""random: a fixed random network. It needs no training, for tests and quick looks; it sees little of shape."""

from __future__ import annotations

from typing import Self

import numpy as np

from pipelines.features import network


class Random(network.Network):
    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, steps: int, seed: int) -> Self:
        return cls(network.build(images.shape[1:], outputs=1, seed=seed), "a random network, not trained", classifies=False)
