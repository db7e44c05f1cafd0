"""domain: a small network trained on the real rows themselves, so that it sees what matters in this data, offline.

It learns two lessons, from which its vectors have a half each:

- *What is shown*: the classes of labelled data. Of unlabelled data, or a single class, by how many quarter turns an image was
  rotated (RotNet, Gidaris et al., 2018), which takes knowing what is shown and which way up it belongs.
- *How well it is made*: which disturbance an image was spoiled by, if by any (disturbances.py). A classifier of classes learns
  to overlook noise, blur and blending, because they do not change the class; a judge of images must see them. The features
  are means and deviations of maps over the whole image, because faults are where they are, and what is shown is not to matter.

Scale: features of the first half have variance 1 over real rows in the mean. Those of the second are whitened over real rows,
so that distances in it are Mahalanobis': directions in which real images hardly differ are those in which spoiled images
stand out (Lee et al., 2018, 1807.03888, equation 2). So each half has the same total variance, and neither drowns the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pipelines.core.errors import InputError
from pipelines.core.lazy import keras, np
from pipelines.core.progress import Progress
from pipelines.features import disturbances, network
from pipelines.features.base import ExtractorSettings, run_in_batches

BATCH = 128
RATE = 2e-3  # of AdamW, falling to 0 along a cosine
CONTENT_WIDTHS = (16, 32, 64)  # channels at full, half and quarter resolution
QUALITY_WIDTHS = (16, 32)  # at full and half resolution, where faults are
HALF = network.VECTOR // 2
UNSPOILED = 2 / 9  # share of the images that are left as they are; the others are shared equally by the disturbances
SCALED_ON = 5_000  # most rows that the scale is taken from
TINY = 1e-12  # variance of images that are all alike
LEAST_VARIANCE = 1e-3  # of the largest: directions of less are noise of rounding, and are not enlarged further


class Domain(network.NetworkExtractor):
    learns = True

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Self:
        named = labels >= 0
        of_classes = bool(classes >= 2 and named.any())
        if of_classes:
            images, targets, lesson = images[named], labels[named], "the data's classes"
        else:
            targets, lesson = None, "rotations, for want of labels of two classes or more,"
        model = cls.build(images.shape[1:], classes if of_classes else 4, settings.seed)
        train(model, batches(images, targets, settings.steps, settings.seed), settings.steps, settings.seed)
        scale(model, images[:: -(-len(images) // SCALED_ON)])  # of all classes: rows may come sorted by them
        if not all(np.isfinite(value).all() for value in network.weights(model).values()):
            raise InputError("the feature extractor did not converge: its weights are not finite; try another reference.seed")
        return cls(model, f"a network that was taught {lesson} and disturbances", of_classes)

    @staticmethod
    def build(shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
        inputs = keras.Input(shape, dtype="uint8")
        greys = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
        maps = greys
        for i, width in enumerate(CONTENT_WIDTHS):
            for j, stride in enumerate((2, 1) if i else (1,)):
                maps = network.convolution(width, stride, seed + 10 * i + j, f"content{i}{j}")(maps)
        content = network.dense(HALF, seed + 100, "content", "relu")(network.places(maps, shape[0]))

        maps, statistics = greys, []
        for i, width in enumerate(QUALITY_WIDTHS):
            for j, stride in enumerate((2, 1) if i else (1, 1)):
                maps = network.convolution(width, stride, seed + 200 + 10 * i + j, f"quality{i}{j}")(maps)
            means = keras.layers.AveragePooling2D(maps.shape[1:3])
            statistics += [means(maps), keras.ops.sqrt(means(keras.ops.square(maps)) + 1e-4)]
        joined = keras.layers.Flatten()(keras.layers.Concatenate()(statistics))
        quality = network.dense(HALF, seed + 300, "quality", "relu")(joined)

        scaled = [
            keras.layers.Dense(HALF, kernel_initializer="identity", trainable=False, name=f"scaled_{name}")(half)
            for name, half in (("content", content), ("quality", quality))
        ]
        logits = network.dense(outputs, seed + 101, "logits")(content)
        return keras.Model(inputs, [keras.layers.Concatenate(name="vector")(scaled), logits])


def train(model: keras.Model, batches: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]], steps: int, seed: int) -> None:
    """Cross-entropy of both lessons."""
    kinds = network.dense(1 + len(disturbances.KINDS), seed + 301, "kinds")(model.get_layer("quality").output)
    classifier = keras.Model(model.inputs, [model.outputs[1], kinds])
    schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
    classifier.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        [keras.losses.SparseCategoricalCrossentropy(from_logits=True) for _ in range(2)],
        jit_compile=keras.backend.backend() == "jax",  # XLA on a CPU is slower for so small a network
    )
    with Progress("reference", steps, "steps") as progress:
        for images, targets, spoiled_by in batches:
            loss = classifier.train_on_batch(images, [targets, spoiled_by])
            progress.advance(note=f"loss {float(loss[0]):.3f}")


def batches(
    images: np.ndarray, labels: np.ndarray | None, steps: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`steps` batches of images uint8, targets of the first lesson int32, and the number of each image's disturbance int32, 0
    for none; all chosen by the seed and the step alone."""
    for step in range(steps):
        random = np.random.default_rng([seed, step])
        rows = random.integers(len(images), size=BATCH)
        batch = images[rows]
        batch = np.roll(batch, random.integers(-1, 2, size=2), axis=(1, 2))  # a pixel to any side: more to learn from few
        batch, spoiled_by = spoil(batch, random)
        if labels is not None:
            targets = labels[rows]
        else:
            targets = random.integers(4, size=BATCH).astype(np.int32)
            batch = np.stack([np.rot90(image, turn) for image, turn in zip(batch, targets, strict=True)])
        yield batch, targets, spoiled_by


def spoil(images: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Each image disturbed in one way or in none, and (n,) int32 in which, 0 for none."""
    shares = [UNSPOILED, *[(1 - UNSPOILED) / len(disturbances.KINDS)] * len(disturbances.KINDS)]
    kinds = random.choice(len(shares), size=len(images), p=shares).astype(np.int32)
    strengths = random.random(len(images))
    spoiled = images.copy()
    for number, disturb in enumerate(disturbances.KINDS.values(), 1):
        chosen = np.flatnonzero(kinds == number)
        if len(chosen) < 2:  # some kinds take a part of another image
            kinds[chosen] = 0
            continue
        spoiled[chosen] = disturb(images[chosen], strengths[chosen], random)
    return spoiled, kinds


def scale(model: keras.Model, images: np.ndarray) -> None:
    """Set the last layer so that real `images` have vectors of the mean 0 and the variance 1 a feature, in either half."""
    halves = [model.get_layer(name) for name in ("content", "quality")]
    halves_of = keras.Model(model.inputs, [layer.output for layer in halves])
    for layer, vectors in zip(halves, run_in_batches(images, network.BATCH, halves_of.predict_on_batch), strict=True):
        wide = vectors.astype(np.float64)
        covariance = np.cov(wide.T)
        if layer.name == "content":
            kernel = np.eye(HALF) / np.sqrt(max(np.trace(covariance) / HALF, TINY))
        else:
            values, directions = np.linalg.eigh(covariance)
            kernel = directions / np.sqrt(np.maximum(values, max(LEAST_VARIANCE * values[-1], TINY)))
        model.get_layer(f"scaled_{layer.name}").set_weights([kernel, -wide.mean(axis=0) @ kernel])
