"""Batches by (seed, step) only: which step comes next is all there is to remember of the position in the data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.training.dataset import Dataset


def batches(
    dataset: Dataset, size: int, latent_shape: tuple[int, ...], seed: int, start: int
) -> Iterator[tuple[dict[str, np.ndarray]]]:
    """Endless inputs for `Family`, from step `start` on; a row's weight is its probability to be sampled."""
    edges = np.cumsum(dataset.weights)
    step = start
    while True:
        random = generator(seed, step)
        rows = sample(edges, size, random)
        latents = random.standard_normal((size, *latent_shape), np.float32)
        yield ({"image": dataset.images[rows], "label": dataset.labels[rows], "latents": latents},)
        step += 1


def generator(seed: int, step: int) -> np.random.Generator:
    """Counter-based (Salmon et al. 2011): the seed is the key, and each step has 2^192 numbers of its own."""
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))


def sample(edges: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """(size,) row numbers, row i with probability (edges[i] - edges[i - 1]) / edges[-1], drawn with replacement."""
    return np.searchsorted(edges, random.random(size) * edges[-1], side="right")
