"""Views of images: the numbers by which the approval model explains people's judgements, and small pictures of a part of the
images, by which `told_apart` tells generated from real ones."""

from __future__ import annotations

import numpy as np

from pipelines.features.base import Features
from pipelines.scoring import appearance

CELLS = 4  # a side
DETAIL = 3.0  # how much less each of the many numbers of detail is expected to matter than each of the few of appearance
SURE = 10.0  # in log odds: beyond that a class is as good as certain
AT_ONCE = 4096  # images
PIXELS = 32  # pixels a side, the most that are kept of an image, and the side of what is cut out of a larger one
MOST_PIXEL_ROWS = 2_000  # images of which pixels are kept


def compute(features: Features, images: np.ndarray, labels: np.ndarray | None, of_classes: bool) -> np.ndarray:
    """(n, v) float32.

    The features; the image itself in cells, because an extractor ignores what does not help to tell its classes apart (how
    heavy strokes are, say), and people do not; its appearance in a few numbers, by which little has to be learned; and the log
    odds of the wanted class against the next one, because people see an image under its label.

    images: (n, size, size, channels) uint8. labels: (n,) int32, -1 for none; None where none has one, which is the same.
    of_classes: whether the features' probabilities are over the labels' classes.
    """
    return combine(features, summarise(images), labels, of_classes)


def combine(features: Features, summary: np.ndarray, labels: np.ndarray | None, of_classes: bool) -> np.ndarray:
    """The same for images of which only the summary is at hand, (n, s) float32."""
    parts = [features.vectors, summary]
    if of_classes and features.probabilities is not None:
        labels = np.full(len(summary), -1, np.int32) if labels is None else labels
        parts.append(label_margins(features.probabilities, labels)[:, None])
    return np.concatenate(parts, axis=1, dtype=np.float32)


def summarise(images: np.ndarray) -> np.ndarray:
    """(n, s) float32: what views say of the images themselves, cells (16 times channels) and appearance."""
    return np.concatenate([cells(images), appearance.measure(images)], axis=1)


def prior(image_views: np.ndarray, features: int, channels: int) -> np.ndarray:
    """(v,) float64: how much each number is expected to matter, before anybody has judged anything; one of appearance: 1.

    Each kind of number as much as another: so each of many less than each of few, because variances add up. And the kinds that
    show details, which are many, a further DETAIL times less: without that they drown the others where judgements are few.

    image_views: (n, v). features: how many of these are features.
    """
    few = appearance.COLUMNS[channels]
    details, cells = features, CELLS**2 * channels
    wanted = image_views.shape[1] - details - cells - few  # the log odds of the wanted class: one number, or none
    kinds = [(details, DETAIL), (cells, DETAIL), (few, 1.0), (wanted, 1.0)]
    return np.concatenate([np.full(count, np.sqrt(few / max(count, 1)) / less) for count, less in kinds])


def cells(images: np.ndarray) -> np.ndarray:
    """(n, 16 channels) float32, 0..1: the means of equal cells."""
    found = np.empty((len(images), CELLS, CELLS, images.shape[3]), np.float32)
    for start in range(0, len(images), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        found[some] = cell_means(images[some], CELLS)
    return found.reshape(len(images), -1) / np.float32(255)


def cell_means(images: np.ndarray, cells: int) -> np.ndarray:
    """(n, cells, cells, channels) float64, 0..255: the means of `cells` x `cells` equal cells of each image."""
    size = images.shape[1]
    edges, places = np.linspace(0, size, cells + 1)[:, None], np.arange(size)
    share = np.clip(np.minimum(places + 1, edges[1:]) - np.maximum(places, edges[:-1]), 0, None) * (cells / size)
    return np.einsum("ah,nhwc,bw->nabc", share, images.astype(np.float32), share, optimize=True)


def pixel_rows(count: int) -> np.ndarray:
    """(p,) int64, rising: of which of `count` images pixels are kept, the same at every call; all of them if they are few.

    One at random of each of p equal parts of the rows: rows that come sorted by class are chosen in the classes' shares, and
    rows whose classes come by turns are not chosen in step with them.
    """
    kept = min(count, MOST_PIXEL_ROWS)
    edges = np.arange(kept + 1) * count // max(kept, 1)
    return np.random.default_rng(count).integers(edges[:-1], edges[1:])


def pixels(images: np.ndarray) -> np.ndarray:
    """(n, height, width, channels) uint8, small pictures of images (n, size, size, channels) uint8.

    Images of at most 32 pixels a side as they are. Of a larger one, the whole in 32 x 32 cells, and at its right the 32 x 32
    pixels at its centre as they are, because averaging takes away checkerboards and noise: (n, 32, 64, channels).
    """
    size = images.shape[1]
    if size <= PIXELS:
        return images
    found = np.empty((len(images), PIXELS, 2 * PIXELS, images.shape[3]), np.uint8)
    first = (size - PIXELS) // 2
    found[:, :, PIXELS:] = images[:, first : first + PIXELS, first : first + PIXELS]
    step = max(1, AT_ONCE * PIXELS**2 // size**2)
    for start in range(0, len(images), step):
        some = slice(start, start + step)
        found[some, :, :PIXELS] = np.rint(cell_means(images[some], PIXELS))
    return found


def label_margins(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) float64, the log odds of each row's label against the likeliest other class; 0 without a label."""
    own = np.arange(probabilities.shape[1]) == labels[:, None]
    least = np.exp(-2 * SURE)
    asked, other = (np.where(mask, probabilities, least).max(axis=1).clip(least) for mask in (own, ~own))
    return np.where(labels >= 0, np.clip(np.log(asked) - np.log(other), -SURE, SURE), 0.0)
