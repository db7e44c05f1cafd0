"""What extractors that are networks of ours share: extracting, saving and loading."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import Self

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.lazy import keras, np
from pipelines.features.base import Extractor, Features, run_in_batches, softmax

VECTOR = 64  # length of a feature vector
BATCH_PIXELS = 2**21  # of a batch, at the most: what maps of 16 channels take 128 MiB for
BATCH = 256  # images, at the most


class NetworkExtractor(Extractor):
    """An extractor that is a network; how the network is built, and how `fit` gets its weights, is a member's own.

    model: images -> (vectors, logits). of_classes: whether the logits are of the data's classes.
    """

    width = VECTOR

    def __init__(self, model: keras.Model, description: str, of_classes: bool) -> None:
        self.model, self._description, self.of_classes = model, description, of_classes

    @staticmethod
    @abstractmethod
    def build(shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
        """An untrained network for images of `shape` (height, width, channels), its weights generated from `seed`."""

    @property
    def description(self) -> str:
        return self._description

    def extract(self, images: np.ndarray) -> Features:
        vectors, logits = run_in_batches(images, batch_size(images), self.model.predict_on_batch)
        return Features(vectors, softmax(logits) if self.of_classes else None)

    def save(self, folder: Path) -> None:
        from safetensors.numpy import save

        about = {
            "shape": self.model.inputs[0].shape[1:],
            "outputs": self.model.outputs[1].shape[-1],
            "how": self.description,
            "of_classes": self.of_classes,
        }
        files.write(folder / "extractor.safetensors", save(weights(self.model)))
        files.write(folder / "extractor.json", json.dumps(about, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            about = json.loads((folder / "extractor.json").read_text(encoding="utf-8"))
            shape, outputs, description, of_classes = (about[key] for key in ("shape", "outputs", "how", "of_classes"))
            stored = load_file(folder / "extractor.safetensors")
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise InputError(f"{folder}: no usable feature extractor ({error}); `reference` makes it (`genloop run`)") from None
        model = cls.build(tuple(shape), outputs, seed=0)
        for variable in model.weights:
            if variable.path not in stored or stored[variable.path].shape != tuple(variable.shape):
                raise InputError(f"{folder}: the extractor's weights do not fit this version of it; run `reference` again")
            variable.assign(stored[variable.path])
        return cls(model, description, of_classes)


def batch_size(images: np.ndarray) -> int:
    """The same for all images of a size, because a row's place in its batch may move the last bits of its features."""
    height, width = images.shape[1:3]
    return max(1, min(BATCH, BATCH_PIXELS // (height * width)))


def convolution(width: int, stride: int, seed: int, name: str) -> keras.layers.Layer:
    initializer = keras.initializers.HeNormal(seed)
    return keras.layers.Conv2D(width, 3, stride, padding="same", activation="relu", kernel_initializer=initializer, name=name)


def dense(units: int, seed: int, name: str, activation: str | None = None) -> keras.layers.Layer:
    return keras.layers.Dense(units, activation=activation, kernel_initializer=keras.initializers.HeNormal(seed), name=name)


def places(maps: keras.KerasTensor, height: int) -> keras.KerasTensor:
    """(batch, height/4, ...) maps as one vector of about 3 by 3 places: where things are matters for small drawings."""
    side = max(1, height // 4 // 3)
    return keras.layers.Flatten()(keras.layers.AveragePooling2D(side, padding="same", name="pool")(maps))


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.path: np.asarray(variable.value) for variable in model.weights}
