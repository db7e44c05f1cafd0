"""A classifier of the data's classes, to judge generated images, which no stage of the loop uses.

It shares neither architecture, nor seed, nor batches with the extractor `domain`, whose features scores and approval go by:
else a model could please both by the same fault. Convolutions and poolings in turn, as LeNet-5 (LeCun et al., 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.errors import InputError
from pipelines.core.lazy import keras, np
from pipelines.core.progress import Progress

SEED = 8128
STEPS = 1200
BATCH = 128
RATE = 2e-3  # of Adam, falling to 0 along a cosine
WIDTHS = (16, 32, 64, 64)  # channels, each at half the resolution of the one before
SMALLEST = 7  # pixels a side that are not halved again


@dataclass(frozen=True)
class Classifier:
    model: keras.Model

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """(n, classes) float32 of (n, size, size, channels) uint8."""
        starts = range(0, len(images), BATCH)
        return np.concatenate([np.asarray(self.model.predict_on_batch(images[start : start + BATCH])) for start in starts])

    def classes(self, images: np.ndarray) -> np.ndarray:
        """(n,) int: the most probable ones."""
        return self.probabilities(images).argmax(axis=1)


def train(images: np.ndarray, labels: np.ndarray, classes: int) -> Classifier:
    """A classifier trained on (n, size, size, channels) uint8 and their labels, (n,) int32, -1 for none.

    Raises:
        InputError: there are no labels of two classes.
    """
    images, labels = images[labels >= 0], labels[labels >= 0]
    if classes < 2 or len(np.unique(labels)) < 2:
        raise InputError(f"a classifier needs labels of two classes at least; came {len(np.unique(labels))}")
    model = build(images.shape[1:], classes)
    schedule = keras.optimizers.schedules.CosineDecay(RATE, STEPS)
    model.compile(
        keras.optimizers.Adam(schedule),
        keras.losses.SparseCategoricalCrossentropy(),
        jit_compile=keras.backend.backend() == "jax",  # XLA on a CPU is slower for so small a network
    )
    with Progress("classifier", STEPS, "steps") as progress:
        for step in range(STEPS):
            random = np.random.default_rng([SEED, step])
            rows = random.integers(len(images), size=BATCH)
            shift = random.integers(-1, 2, size=2)
            loss = model.train_on_batch(np.roll(images[rows], shift, axis=(1, 2)), labels[rows])
            progress.advance(note=f"loss {float(loss):.3f}")
    return Classifier(model)


def build(shape: tuple[int, ...], classes: int) -> keras.Model:
    """uint8 images of `shape` (size, size, channels) -> probabilities."""
    initializer = keras.initializers.HeNormal
    x = inputs = keras.Input(shape, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(x)
    for place, width in enumerate(WIDTHS):
        if place and x.shape[1] <= SMALLEST:
            break
        x = keras.layers.Conv2D(width, 5, padding="same", use_bias=False, kernel_initializer=initializer(SEED + place))(x)
        x = keras.layers.MaxPooling2D(2)(x)
        x = keras.layers.BatchNormalization(momentum=0.95)(x)
        x = keras.layers.ReLU()(x)
    x = keras.layers.Dropout(0.3, seed=SEED)(keras.layers.Flatten()(x))
    x = keras.layers.Dense(96, activation="relu", kernel_initializer=initializer(SEED + 10))(x)
    outputs = keras.layers.Dense(classes, activation="softmax", kernel_initializer=initializer(SEED + 11))(x)
    return keras.Model(inputs, outputs)
