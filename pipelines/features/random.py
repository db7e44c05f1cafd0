"""random: a fixed random network. It needs no training, for tests and first impressions; it sees little of shape."""

from __future__ import annotations

from typing import Self

from pipelines.core.lazy import np
from pipelines.features import network
from pipelines.features.base import ExtractorSettings


class Random(network.NetworkExtractor):
    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Self:
        model = network.build(images.shape[1:], outputs=1, seed=settings.seed)
        return cls(model, "a random network, not trained", of_classes=False)
