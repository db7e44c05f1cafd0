"""random: a fixed random network. It needs no training, for tests and first impressions; it sees little of shape."""

from __future__ import annotations

from typing import Self

from pipelines.core.lazy import keras, np
from pipelines.features import network
from pipelines.features.base import ExtractorSettings

WIDTHS = (16, 32, 64)  # channels at full, half and quarter resolution


class Random(network.NetworkExtractor):
    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Self:
        model = cls.build(images.shape[1:], outputs=1, seed=settings.seed)
        return cls(model, "a random network, not trained", of_classes=False)

    @staticmethod
    def build(shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
        maps = inputs = keras.Input(shape, dtype="uint8")
        maps = keras.layers.Rescaling(1 / 127.5, offset=-1)(maps)
        for i, width in enumerate(WIDTHS):
            for j, stride in enumerate((2, 1) if i else (1,)):
                maps = network.convolution(width, stride, seed + 10 * i + j, f"conv{i}{j}")(maps)
        vectors = network.dense(network.VECTOR, seed + 100, "vector", "relu")(network.places(maps, shape[0]))
        return keras.Model(inputs, [vectors, network.dense(outputs, seed + 101, "logits")(vectors)])
