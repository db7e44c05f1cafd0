"""Batches for training. A batch depends on seed and step alone, so that a training resumes by the number of its next step."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Self

import keras
import numpy as np

from pipelines.core.limits import cores

if TYPE_CHECKING:
    from pipelines.training.dataset import Dataset

AHEAD = 4  # batches that are prepared while the device works on another one


class Batches(keras.utils.PyDataset):
    """Endless inputs for `Family`, prepared by threads; batch `i` is that of step start + i.

    Batches have numbers, and this is no generator: to share batches among devices, Keras reads the first ones twice.

    >>> with Batches(dataset, 128, base.numbers(family), seed=0, start=0) as batches:
    ...     family.fit(backend.fed(batches), steps_per_epoch=1000)
    """

    def __init__(self, dataset: Dataset, size: int, shapes: Mapping[str, tuple[int, ...]], seed: int, start: int) -> None:
        """shapes: by name, of the standard normal numbers for one image."""
        super().__init__(workers=0)  # the threads below are enough
        self.make = partial(batch, dataset, np.cumsum(dataset.weights), size, dict(sorted(shapes.items())), seed)
        self.start = start
        self.pool = ThreadPoolExecutor(cores())
        self.ready: dict[int, Future[dict[str, np.ndarray]]] = {}

    @property
    def num_batches(self) -> None:
        return None

    def __getitem__(self, number: int) -> tuple[dict[str, np.ndarray]]:
        for later in range(number, number + AHEAD):
            if later not in self.ready:
                self.ready[later] = self.pool.submit(self.make, self.start + later)
        for earlier in [ready for ready in self.ready if ready < number]:
            del self.ready[earlier]
        return (self.ready[number].result(),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.pool.shutdown(cancel_futures=True)


def batch(
    dataset: Dataset, edges: np.ndarray, size: int, shapes: dict[str, tuple[int, ...]], seed: int, step: int
) -> dict[str, np.ndarray]:
    """The inputs of a step; rows are sampled in proportion to their weights."""
    random = generator(seed, step)
    rows = sample(edges, size, random)
    numbers = {name: random.standard_normal((size, *shape), np.float32) for name, shape in shapes.items()}
    return {"image": dataset.images[rows], "label": dataset.labels[rows], **numbers}


def generator(seed: int, step: int) -> np.random.Generator:
    """Counter-based (Salmon et al. 2011): the seed is the key, and each step has 2^192 numbers of its own."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))


def sample(edges: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """(size,) row numbers, row i with probability (edges[i] - edges[i - 1]) / edges[-1], drawn with replacement."""
    return np.searchsorted(edges, random.random(size) * edges[-1], side="right")
