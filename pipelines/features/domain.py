"""domain: a small network trained on the real rows themselves, so that it sees what matters in this data, offline.

Labelled data: it learns to tell the classes apart. Unlabelled data, or a single class: it learns by how many quarter turns
an image was rotated (RotNet, Gidaris et al., 2018), which takes knowing what is shown and which way up it belongs. A random
network would do without training, but is nearly blind to shape beyond a few pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

from pipelines.core.lazy import np
from pipelines.features import network
from pipelines.features.base import ExtractorSettings

BATCH = 128
RATE = 2e-3  # of AdamW, falling to 0 along a cosine


class Domain(network.NetworkExtractor):
    learns = True

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Self:
        steps, seed = settings.steps, settings.seed
        named = labels >= 0
        if classes >= 2 and named.any():
            images, targets, outputs, description = images[named], labels[named], classes, "a classifier of the data's classes"
        else:
            targets, outputs, description = None, 4, "rotation prediction, for want of labels of two classes or more"
        model = network.build(images.shape[1:], outputs, seed)
        network.train(model, batches(images, targets, steps, seed), steps, RATE)
        return cls(model, description, of_classes=targets is not None)


def batches(images: np.ndarray, targets: np.ndarray | None, steps: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """`steps` batches of (images uint8, targets int32), chosen and shifted by the seed and the step alone."""
    for step in range(steps):
        random = np.random.default_rng([seed, step])
        rows = random.integers(len(images), size=BATCH)
        batch = images[rows]
        if targets is None:
            turns = random.integers(4, size=BATCH).astype(np.int32)
            batch = np.stack([np.rot90(image, turn) for image, turn in zip(batch, turns, strict=True)])
        shift = random.integers(-1, 2, size=2)  # a pixel to any side: more to learn from in small data
        yield np.roll(batch, shift, axis=(1, 2)), turns if targets is None else targets[rows]
