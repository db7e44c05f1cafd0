"""Classifier two-sample test (Lopez-Paz & Oquab, 2017, section 3): a classifier learns to tell generated from real images, and
is asked about images that it has not seen. If nothing sets the two kinds apart, it is right in half of the cases.

What the classifier looks at is what people look at, the images themselves, and not an extractor's features, which leave out
whatever their lesson does not need:

    greys       every pixel
    roughness   how much neighbouring pixels differ, over the whole image: blur, noise and checkerboards, which no pixel shows

Differences that nobody can see must not count, such as a background of 1 where that of real images is 0. So before the
classifier looks, every image of either side gets noise in each pixel, and is brightened or darkened a little as a whole.

Extra trees (Geurts et al., 2006) are used because they need no tuning, do not mind many useless numbers, and fit in seconds.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pipelines.core.lazy import ensemble, np
from pipelines.core.limits import cores
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.metrics.intervals import NotEnoughError

NOISE = 6.0  # greys, the standard deviation in each pixel
BRIGHTNESS = 3.0  # greys, the standard deviation of a whole channel
LEAST_ROWS = 50  # of either side
FOLDS = 5
TREES = 64
FEATURES = 64  # numbers among which each split of a tree is chosen
PERCENTILES = (5, 25, 50, 75, 95)
AT_ONCE = 256  # images
GENERATED, REAL = 1, 0


@dataclass(frozen=True)
class Predictions:
    """What a classifier says of k generated and k real images that it has not seen.

    generated, real: (k,) int, the numbers of the images. share: (k,) float64, the share of trees that call each generated image
    generated. generated_correct, real_correct: (k,) bool, whether each is called what it is.
    """

    generated: np.ndarray
    real: np.ndarray
    share: np.ndarray
    generated_correct: np.ndarray
    real_correct: np.ndarray


def tell_apart(candidate: GeneratedFeatures, benchmark: Benchmark) -> Predictions:
    """The predictions for images of both sides that are at hand.

    Raises:
        NotEnoughError: there are fewer than LEAST_ROWS on either side, of the same classes.
    """
    assert candidate.pixels is not None
    assert candidate.pixel_rows is not None
    assert benchmark.pixels is not None
    assert benchmark.pixel_labels is not None
    shapes = candidate.pixels.shape[1:], benchmark.pixels.shape[1:]
    assert shapes[0] == shapes[1], shapes
    no_labels = np.full(len(candidate.pixels), -1)
    labels = no_labels if candidate.labels is None else candidate.labels[candidate.pixel_rows]
    generated, real = match(labels, benchmark.pixel_labels)
    if len(generated) < LEAST_ROWS:
        needed = f"{LEAST_ROWS} generated and as many real images of the same classes or more"
        raise NotEnoughError(f"told_apart needs {needed}, came {len(generated):,}")
    sides = (candidate.pixels, generated, GENERATED), (benchmark.pixels, real, REAL)
    share, correct = predict(*(describe(*side) for side in sides))
    return Predictions(candidate.pixel_rows[generated], real, share[:, 0], correct[:, 0], correct[:, 1])


def match(generated_labels: np.ndarray, real_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As many rows of either side, of the same classes: (k,) int, the numbers of generated ones, and of real ones.

    They come class by class. For the same benchmark, two models are compared with the same real rows, or nearly so.

    generated_labels, real_labels: (n,) and (m,) int, -1 for none. Where a side has none at all, classes do not count.
    """
    if (generated_labels < 0).all() or (real_labels < 0).all():
        generated_labels, real_labels = (np.zeros(len(labels), int) for labels in (generated_labels, real_labels))
    sides: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    for label in np.intersect1d(generated_labels[generated_labels >= 0], real_labels):
        rows = [np.flatnonzero(labels == label) for labels in (generated_labels, real_labels)]
        count = min(map(len, rows))
        for side, of_class in zip(sides, rows, strict=True):
            side.append(np.random.default_rng([int(label), len(of_class)]).permutation(of_class)[:count])
    generated, real = (np.concatenate([*side, np.empty(0, int)]) for side in sides)
    return generated, real


def predict(generated: np.ndarray, real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(k, 2) float64, the share of trees that call each row generated, and (k, 2) bool, whether it is called what it is: of
    generated and of real rows, in two columns, by trees that have not seen them.

    generated, real: (k, f) float32, what is known of each row. Rows of a class follow each other, and stand in the same places
    of both, so that every fold has as many of either side, and of each class as many as can be.

    In each fold, the half of the rows with the larger shares is called generated, which half of them are: then the threshold
    favours neither side, and where nothing tells the sides apart, hits are hypergeometric, and half of the rows on average.
    """
    count = len(generated)
    rows, sides = np.concatenate([generated, real]), np.repeat([GENERATED, REAL], count)
    fold = np.tile(np.arange(count) % FOLDS, 2)
    share, correct = np.zeros(2 * count), np.zeros(2 * count, bool)
    random = np.random.default_rng(count)
    for number in range(FOLDS):
        tested = random.permutation(np.flatnonzero(fold == number))  # so that ties fall to neither side
        learned = fold != number
        features = min(FEATURES, rows.shape[1])
        trees = ensemble.ExtraTreesClassifier(TREES, max_features=features, n_jobs=cores(), random_state=number)
        share[tested] = trees.fit(rows[learned], sides[learned]).predict_proba(rows[tested])[:, GENERATED]
        called = np.full(len(tested), REAL)
        called[np.argsort(share[tested], kind="stable")[len(tested) // 2 :]] = GENERATED
        correct[tested] = called == sides[tested]
    return share.reshape(2, count).T, correct.reshape(2, count).T


def describe(pixels: np.ndarray, rows: np.ndarray, side: int) -> np.ndarray:
    """(k, f) float32, what the classifier gets of the images `rows` (k,) of a `side`.

    pixels: (n, height, width, channels) uint8. A picture that is wider than high is two square ones side by side.
    """
    parts = []
    for start in range(0, len(rows), AT_ONCE):
        some = rows[start : start + AT_ONCE]
        disturbances = np.stack([disturbance(pixels[row], [side, int(row)]) for row in some])
        disturbed = np.clip(pixels[some] + disturbances, 0, 255)
        squares = np.split(disturbed, disturbed.shape[2] // disturbed.shape[1], axis=2)
        numbers = [found for square in squares for found in roughness(square)]
        parts.append(np.concatenate([disturbed.reshape(len(some), -1), *numbers], axis=1, dtype=np.float32))
    return np.concatenate(parts)


def disturbance(image: np.ndarray, place: list[int]) -> np.ndarray:
    """(height, width, channels) float32, in greys: the same for the same image in the same place, and independent otherwise."""
    random = np.random.default_rng([*place, zlib.crc32(image.tobytes())])
    pixels = random.standard_normal(image.shape, np.float32) * np.float32(NOISE)
    return pixels + random.standard_normal(image.shape[-1:], np.float32) * np.float32(BRIGHTNESS)


def roughness(images: np.ndarray) -> Iterator[np.ndarray]:
    """(k, a) float32 each, of images (k, size, size, channels) float32: how greys are spread, and how far neighbours differ.

    Colours are looked at as channels, and as the differences of channels, in which speckle shows that greys hide.
    """
    if images.shape[3] == 3:
        images = np.concatenate([images, images[..., :1] - images[..., 1:2], images[..., 1:2] - images[..., 2:]], axis=3)
    across, down = np.diff(images, axis=2), np.diff(images, axis=1)
    yield from (images.mean(axis=(1, 2)), images.std(axis=(1, 2)))
    yield from np.percentile(images, PERCENTILES, axis=(1, 2)).astype(np.float32)
    for step in (across, down, np.diff(across, axis=1), images[:, 2:] - images[:, :-2], images[:, :, 2:] - images[:, :, :-2]):
        size = np.abs(step)
        yield from (size.mean(axis=(1, 2)), step.std(axis=(1, 2)))
        # Every other row and column by itself: up-sampling leaves patterns of two pixels.
        yield from (size[:, row::2, column::2].mean(axis=(1, 2)) for row in (0, 1) for column in (0, 1))
