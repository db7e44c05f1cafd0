"""domain: a small network trained on the real rows themselves, so that it sees what matters in this data, offline.

It learns two lessons, from which its vectors have a half of their variance each:

- *What is shown*: the classes of labelled data. Of unlabelled data, or a single class, by how many quarter turns an image was
  rotated (RotNet, Gidaris et al., 2018), which takes knowing what is shown and which way up it belongs.
- *How well it is made*: which disturbance an image was spoiled by, if by any (disturbances.py). A classifier of classes learns
  to overlook noise, blur and blending, because they do not change the class; a judge of images must see them. What it goes by
  are means and deviations of maps over the whole image, because faults are where they are, and what is shown is not to matter.

The first gives CONTENT numbers, of variance 1 over real rows in the mean. The second gives QUALITY numbers, one a disturbance:
the linear functions of means and deviations that tell best how strongly an image was spoiled (by which disturbance alone, FID
did not grow with the strength), whitened over real rows, so that distances are Mahalanobis': where real images hardly differ,
spoiled ones stand out (Lee et al., 2018, 1807.03888, equation 2). Both have the same total variance, so that neither drowns the
other.

Of images larger than LARGEST the first lesson sees a smaller copy, because what is shown is large, and the second one learns
from a part at their own resolution, because faults are small: 400 steps on images of 256 pixels would take more than an hour
otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pipelines.core.errors import InputError
from pipelines.core.lazy import keras, np
from pipelines.core.progress import Progress
from pipelines.features import disturbances, network
from pipelines.features.base import ExtractorSettings, run_in_batches

BATCH = 128  # images, fewer of large ones
RATE = 2e-3  # of AdamW, falling to 0 along a cosine
CONTENT_WIDTHS = (16, 32, 64)  # channels at full, half and quarter resolution
QUALITY_LEVELS = ((16, (1, 1)), (32, (2, 1)))  # channels and strides, at full and half resolution, where faults are
CONTENT = 32
QUALITY = len(disturbances.KINDS)
UNSPOILED = 2 / 9  # share of the images that are left as they are; the others are shared equally by the disturbances
LARGEST = 64  # pixels a side that are learned from
SCALED_ON = 5_000  # most rows that the scale is taken from
TINY = 1e-12  # variance of images that are all alike
LEAST_VARIANCE = 1e-3  # of the largest: directions of less are noise of rounding, and are not enlarged further
WEAKEST = 0.3  # what is told of the weakest disturbance, as a share of the strongest; 0 of an unspoiled image
RIDGE = 1e-3  # of the variance of real rows: the penalty of that regression, for maps that are nearly alike


class Domain(network.NetworkExtractor):
    learns = True
    width = CONTENT + QUALITY

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
        scale(model, images[:: -(-len(images) // SCALED_ON)], settings.seed)  # of all classes: rows may come sorted by them
        if not all(np.isfinite(value).all() for value in network.weights(model).values()):
            raise InputError("the feature extractor did not converge: its weights are not finite; try another reference.seed")
        return cls(model, f"a network that was taught {lesson} and disturbances", of_classes)

    @staticmethod
    def build(shape: tuple[int, ...], outputs: int, seed: int) -> keras.Model:
        inputs = keras.Input(shape, dtype="uint8")
        greys = keras.layers.Rescaling(1 / 127.5, offset=-1, name="greys")(inputs)
        shrink = shrinkage(shape[0])
        maps = keras.layers.AveragePooling2D(shrink, padding="same", name="smaller")(greys) if shrink > 1 else greys
        for i, width in enumerate(CONTENT_WIDTHS):
            for j, stride in enumerate((2, 1) if i else (1,)):
                maps = network.convolution(width, stride, seed + 10 * i + j, f"content{i}{j}")(maps)
        content = network.dense(CONTENT, seed + 100, "content", "relu")(network.places(maps, -(-shape[0] // shrink)))

        levels = [
            [network.convolution(width, stride, seed + 200 + 10 * i + j, f"quality{i}{j}") for j, stride in enumerate(strides)]
            for i, (width, strides) in enumerate(QUALITY_LEVELS)
        ]
        statistics = keras.layers.Flatten(name="statistics")(means_and_deviations(greys, levels))

        scaled = [
            keras.layers.Dense(units, trainable=False, name=f"scaled_{name}")(numbers)
            for name, units, numbers in (("content", CONTENT, content), ("quality", QUALITY, statistics))
        ]
        logits = network.dense(outputs, seed + 101, "logits")(content)
        return keras.Model(inputs, [keras.layers.Concatenate(name="vector")(scaled), logits])


def means_and_deviations(greys: keras.KerasTensor, levels: list[list[keras.layers.Layer]]) -> keras.KerasTensor:
    """(batch, 1, 1, numbers) of the maps at the end of each level."""
    maps, parts = greys, []
    for convolutions in levels:
        for convolution in convolutions:
            maps = convolution(maps)
        means = keras.layers.AveragePooling2D(maps.shape[1:3])
        parts += [means(maps), keras.ops.sqrt(means(keras.ops.square(maps)) + 1e-4)]
    return keras.layers.Concatenate()(parts)


def train(model: keras.Model, batches: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]], steps: int, seed: int) -> None:
    """Cross-entropy of both lessons."""
    size, channels = model.input_shape[2:]
    inputs, statistics = model.inputs, model.get_layer("statistics").output
    if size > LARGEST:
        part = keras.Input((LARGEST, LARGEST, channels), dtype="uint8")
        levels = [
            [model.get_layer(f"quality{i}{j}") for j in range(len(strides))] for i, (_, strides) in enumerate(QUALITY_LEVELS)
        ]
        statistics = keras.layers.Flatten()(means_and_deviations(model.get_layer("greys")(part), levels))
        inputs = [*inputs, part]
    kinds = network.dense(1 + QUALITY, seed + 301, "kinds")(network.dense(32, seed + 300, "hidden", "relu")(statistics))
    classifier = keras.Model(inputs, [model.outputs[1], kinds])
    schedule = keras.optimizers.schedules.CosineDecay(RATE, steps)
    classifier.compile(
        keras.optimizers.AdamW(schedule, weight_decay=1e-3),
        [keras.losses.SparseCategoricalCrossentropy(from_logits=True) for _ in range(2)],
        jit_compile=keras.backend.backend() == "jax",  # XLA on a CPU is slower for so small a network
    )
    with Progress("reference", steps, "steps") as progress:
        for step, (images, targets, spoiled_by) in enumerate(batches):
            parts = [images] if size <= LARGEST else [images, crop(images, np.random.default_rng([seed, step, 1]))]
            loss = classifier.train_on_batch(parts, [targets, spoiled_by])
            progress.advance(note=f"loss {float(loss[0]):.3f}")


def batches(
    images: np.ndarray, labels: np.ndarray | None, steps: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """`steps` batches of images uint8, targets of the first lesson int32, and the number of each image's disturbance int32, 0
    for none; all chosen by the seed and the step alone."""
    size = min(BATCH, network.batch_size(images))
    for step in range(steps):
        random = np.random.default_rng([seed, step])
        rows = random.integers(len(images), size=size)
        batch = images[rows]
        batch = np.roll(batch, random.integers(-1, 2, size=2), axis=(1, 2))  # a pixel to any side: more to learn from few
        batch, spoiled_by, _ = spoil(batch, random)
        if labels is not None:
            targets = labels[rows]
        else:
            targets = random.integers(4, size=size).astype(np.int32)
            batch = np.stack([np.rot90(image, turn) for image, turn in zip(batch, targets, strict=True)])
        yield batch, targets, spoiled_by


def shrinkage(size: int) -> int:
    """How many times smaller the first lesson sees images of this size."""
    return -(-size // LARGEST)


def crop(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """(n, LARGEST, LARGEST, channels): the same part of all of them."""
    top, left = random.integers(images.shape[1] - LARGEST + 1, size=2)
    return images[:, top : top + LARGEST, left : left + LARGEST]


def spoil(images: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each image disturbed in one way or in none; (n,) int32 in which, 0 for none; and (n,) how strongly, 0 to 1."""
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
    return spoiled, kinds, strengths


def scale(model: keras.Model, images: np.ndarray, seed: int) -> None:
    """Set the last layers by real `images`, as the module says; real vectors then have the mean 0."""
    from sklearn.linear_model import Ridge

    both = keras.Model(model.inputs, [model.get_layer(name).output for name in ("content", "statistics")])
    statistics_alone = keras.Model(model.inputs, both.outputs[1])
    size = network.batch_size(images)
    content, statistics = (part.astype(np.float64) for part in run_in_batches(images, size, both.predict_on_batch))
    of_spoiled, targets = [], []
    each, most = min(BATCH, size), SCALED_ON // shrinkage(images.shape[1])  # a large image tells more, and takes longer
    for number in range(most // each):
        random = np.random.default_rng([seed, number])
        spoiled, kinds, strengths = spoil(images[random.integers(len(images), size=each)], random)
        of_spoiled.append(np.asarray(statistics_alone.predict_on_batch(spoiled), np.float64))
        targets.append(np.eye(1 + QUALITY)[kinds, 1:] * (WEAKEST + (1 - WEAKEST) * strengths)[:, None])

    spread = np.sqrt(max(np.trace(np.cov(content.T)) / CONTENT, TINY))
    white = whitening(statistics)
    rows = np.concatenate(of_spoiled) @ white
    told = white @ Ridge(RIDGE * len(rows)).fit(rows, np.concatenate(targets)).coef_.T
    quality = told @ whitening(statistics @ told) * np.sqrt(CONTENT / QUALITY)
    for name, numbers, kernel in (("content", content, np.eye(CONTENT) / spread), ("quality", statistics, quality)):
        model.get_layer(f"scaled_{name}").set_weights([kernel, -numbers.mean(axis=0) @ kernel])


def whitening(numbers: np.ndarray) -> np.ndarray:
    """(d, d): `numbers` (n, d) times this have the variance 1 in each direction, and no covariance."""
    values, directions = np.linalg.eigh(np.cov(numbers.T))
    return directions / np.sqrt(np.maximum(values, max(LEAST_VARIANCE * values[-1], TINY)))
