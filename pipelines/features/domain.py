"""domain: a small network trained on the real rows themselves, so that it sees what matters in this data, offline.

Labelled data: it learns to tell the classes apart. Unlabelled data, or a single class: it learns by how many quarter turns
an image was rotated (RotNet, Gidaris et al., 2018), which takes knowing what is shown and which way up it belongs. A random
network would do without training, but is nearly blind to shape beyond a few pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import numpy as np

from pipelines.features import network
from pipelines.features.base import Extractor, Features

BATCH = 128
RATE = 2e-3  # of AdamW, falling to 0 along a cosine


class Domain(Extractor):
    def __init__(self, net: network.Network) -> None:
        self.net = net

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, steps: int, seed: int) -> Self:
        named = labels >= 0
        if classes >= 2 and named.any():
            images, targets, outputs, how = images[named], labels[named], classes, "a classifier of the data's classes"
        else:
            targets, outputs, how = None, 4, "rotation prediction, for want of labels of two classes or more"
        net = network.build(images.shape[1:], outputs, how, classifies=targets is not None, seed=seed)
        network.train(net, batches(images, targets, steps, seed), steps, RATE)
        return cls(net)

    def extract(self, images: np.ndarray) -> Features:
        return self.net.extract(images)

    def save(self, folder: Path) -> None:
        self.net.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(network.load(folder))

    @property
    def how(self) -> str:
        return self.net.how


def batches(images: np.ndarray, targets: np.ndarray | None, steps: int, seed: int):  # type: ignore[no-untyped-def]
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
