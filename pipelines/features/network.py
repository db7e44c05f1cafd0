"""The convolutional network behind the extractors `domain` and `random`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Self

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress
from pipelines.features.base import Extractor, Features

WIDTHS = (16, 32, 64)  # channels at full, half and quarter resolution
VECTOR = 64  # length of a feature vector
BATCH = 256  # always this many at once, the last filled up: a row's features never depend on how many came with it


class Network(Extractor):
    """What an extractor with such a network can do once it has one; how it comes by its weights, `fit`, is a member's own.

    model: images -> (vectors, logits). classifies: whether the logits are of the data's classes.
    """

    def __init__(self, model: keras.Model, how: str, classifies: bool) -> None:
        self.model, self._how, self.classifies = model, how, classifies

    @property
    def how(self) -> str:
        return self._how

    def extract(self, images: np.ndarray) -> Features:
        vectors, logits = [], []
        with Progress("features", len(images), "images") as progress:
            for start in range(0, len(images), BATCH):
                chunk = images[start : start + BATCH]
                filled = np.concatenate([chunk, np.zeros((BATCH - len(chunk), *chunk.shape[1:]), chunk.dtype)])
                seen = [np.asarray(part)[: len(chunk)] for part in self.model.predict_on_batch(filled)]
                vectors.append(seen[0])
                logits.append(seen[1])
                progress.advance(len(chunk))
        return Features(np.concatenate(vectors), softmax(np.concatenate(logits)) if self.classifies else None)

    def save(self, folder: Path) -> None:
        about = {
            "shape": self.model.inputs[0].shape[1:],
            "outputs": self.model.outputs[1].shape[-1],
            "how": self.how,
            "classifies": self.classifies,
        }
        files.write(folder / "extractor.safetensors", save(weights(self.model)))
        files.write(folder / "extractor.json", json.dumps(about, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        try:
            about = json.loads((folder / "extractor.json").read_text(encoding="utf-8"))
            stored = load_file(folder / "extractor.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(f"{folder}: no usable feature extractor ({error}); `reference` makes it (`genloop run`)") from None
        model = build(tuple(about["shape"]), about["outputs"], seed=0)
        for variable in model.trainable_variables:
            if variable.path not in stored or stored[variable.path].shape != tuple(variable.shape):
                raise InputError(f"{folder}: the extractor's weights do not fit this version of it; run `reference` again")
            variable.assign(stored[variable.path])
        return cls(model, about["how"], about["classifies"])


def build(shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
    """An untrained network for images of `shape` (height, width, channels), its weights drawn from `seed`."""
    draw = keras.initializers.HeNormal
    x = inputs = keras.Input(shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    for i, width in enumerate(WIDTHS):
        for j, stride in enumerate((2, 1) if i else (1,)):
            x = keras.layers.Conv2D(
                width,
                3,
                stride,
                padding="same",
                activation="relu",
                kernel_initializer=draw(seed + 10 * i + j),
                name=f"conv{i}{j}",
            )(x)
    # Where things are matters for small drawings, so a coarse map is kept rather than one mean.
    side = max(1, shape[0] // 4 // 3)
    x = keras.layers.AveragePooling2D(side, padding="same", name="pool")(x)
    x = keras.layers.Flatten()(x)
    vectors = keras.layers.Dense(VECTOR, activation="relu", kernel_initializer=draw(seed + 100), name="vector")(x)
    logits = keras.layers.Dense(outputs, kernel_initializer=draw(seed + 101), name="logits")(vectors)
    return keras.Model(inputs, [vectors, logits])


def train(model: keras.Model, batches: Iterable[tuple[np.ndarray, np.ndarray]], steps: int, rate: float) -> None:
    """Cross-entropy on the logits."""
    classifier = keras.Model(model.inputs, model.outputs[1])
    schedule = keras.optimizers.schedules.CosineDecay(rate, steps)
    classifier.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=keras.backend.backend() == "jax",  # XLA on a CPU is slower for so small a network
    )
    with Progress("reference", steps, "steps") as progress:
        for images, targets in batches:
            loss = classifier.train_on_batch(images, targets)
            progress.advance(note=f"loss {float(loss):.3f}")
    if not all(np.isfinite(value).all() for value in weights(model).values()):
        raise InputError("the feature extractor did not converge: its weights are not finite; try another reference.seed")


def weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.path: np.asarray(variable.value) for variable in model.trainable_variables}


def softmax(logits: np.ndarray) -> np.ndarray:
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return (wide / wide.sum(axis=1, keepdims=True)).astype(np.float32)
