from __future__ import annotations

import itertools

import numpy as np

from pipelines.training import feeding
from pipelines.training.dataset import Dataset


def dataset(weights: list[float]) -> Dataset:
    count = len(weights)
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)  # an image is its row's number
    return Dataset(images, np.arange(count, dtype=np.int32), np.array(weights), ["c"] * count, 0)


def drawn(weights: list[float], steps: int, size: int = 500) -> np.ndarray:
    batches = feeding.batches(dataset(weights), size, (2,), 3, 0)
    rows = np.concatenate([batch["image"].ravel() for (batch,) in itertools.islice(batches, steps)])
    return np.bincount(rows, minlength=len(weights))


def test_a_weight_is_the_probability_to_be_sampled() -> None:
    weights = np.array([1.0, 2.0, 0.0, 4.0, 0.5])
    counts = drawn(weights.tolist(), steps=100)
    expected = counts.sum() * weights / weights.sum()
    assert counts[2] == 0
    there = expected > 0
    chi_square = ((counts - expected)[there] ** 2 / expected[there]).sum()
    assert chi_square < 16.3  # exceeded once in a thousand with 3 degrees of freedom; the seed is fixed
    assert ((counts - counts.sum() / 5) ** 2 / (counts.sum() / 5)).sum() > 1000  # the check can fail


def test_a_batch_depends_on_seed_and_step_only() -> None:
    data = dataset([1.0] * 50)
    straight = list(itertools.islice(feeding.batches(data, 8, (3,), 5, 0), 4))
    (late,) = next(feeding.batches(data, 8, (3,), 5, 3))
    assert all(np.array_equal(late[name], straight[3][0][name]) for name in late)
    assert not np.array_equal(straight[2][0]["image"], straight[3][0]["image"])
    (other,) = next(feeding.batches(data, 8, (3,), 6, 3))
    assert not np.array_equal(late["latents"], other["latents"])


def test_image_and_label_are_of_the_same_row() -> None:
    (batch,) = next(feeding.batches(dataset([1.0] * 50), 64, (3,), 5, 0))
    assert np.array_equal(batch["image"].ravel(), batch["label"])
    assert batch["latents"].dtype == np.float32
