"""The convolutional network behind the extractors `domain` and `random`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.lazy import keras, np
from pipelines.core.progress import Progress
from pipelines.features.base import Extractor, Features, run_in_batches, softmax

WIDTHS = (16, 32, 64)  # channels at full, half and quarter resolution
VECTOR = 64  # length of a feature vector
BATCH = 256


class NetworkExtractor(Extractor):
    """An extractor that has such a network; how the network gets its weights, `fit`, is a member's own.

    model: images -> (vectors, logits). of_classes: whether the logits are of the data's classes.
    """

    width = VECTOR

    def __init__(self, model: keras.Model, description: str, of_classes: bool) -> None:
        self.model, self._description, self.of_classes = model, description, of_classes

    @property
    def description(self) -> str:
        return self._description

    def extract(self, images: np.ndarray) -> Features:
        vectors, logits = run_in_batches(images, BATCH, self.model.predict_on_batch)
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
        model = build(tuple(shape), outputs, seed=0)
        for variable in model.trainable_variables:
            if variable.path not in stored or stored[variable.path].shape != tuple(variable.shape):
                raise InputError(f"{folder}: the extractor's weights do not fit this version of it; run `reference` again")
            variable.assign(stored[variable.path])
        return cls(model, description, of_classes)


def build(shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
    """An untrained network for images of `shape` (height, width, channels), its weights drawn from `seed`."""
    initializer = keras.initializers.HeNormal
    x = inputs = keras.Input(shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(x)
    for i, width in enumerate(WIDTHS):
        for j, stride in enumerate((2, 1) if i else (1,)):
            own = {"kernel_initializer": initializer(seed + 10 * i + j), "name": f"conv{i}{j}"}
            x = keras.layers.Conv2D(width, 3, stride, padding="same", activation="relu", **own)(x)
    # Where things are matters for small drawings, so a coarse map is kept rather than one mean.
    side = max(1, shape[0] // 4 // 3)
    x = keras.layers.AveragePooling2D(side, padding="same", name="pool")(x)
    x = keras.layers.Flatten()(x)
    vectors = keras.layers.Dense(VECTOR, activation="relu", kernel_initializer=initializer(seed + 100), name="vector")(x)
    logits = keras.layers.Dense(outputs, kernel_initializer=initializer(seed + 101), name="logits")(vectors)
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
