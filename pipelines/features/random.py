"""random: a fixed random network. It needs no training, for tests and quick looks; it sees little of shape."""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from pipelines.features import network
from pipelines.features.base import Extractor, Features


class Random(Extractor):
    def __init__(self, net: network.Network) -> None:
        self.net = net

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, steps: int, seed: int) -> Self:
        return cls(network.build(images.shape[1:], outputs=1, how="a random network, not trained", classifies=False, seed=seed))

    def extract(self, images: np.ndarray) -> Features:
        return self.net.extract(images)

    def save(self, folder: Path) -> None:
        self.net.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(network.load(folder))

    @property
    def how(self) -> str:
        return self.net.how
