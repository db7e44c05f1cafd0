from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.core import backend

backend.load()

from pipelines.training import image_store  # noqa: E402
from pipelines.training.batches import Batches  # noqa: E402
from pipelines.training.dataset import Dataset  # noqa: E402

SHAPES = {"latents": (3,), "time": ()}


def dataset(weights: list[float]) -> Dataset:
    count = len(weights)
    images = np.arange(count, dtype=np.uint8).reshape(count, 1, 1, 1)  # an image is its row's number
    return Dataset(images, np.arange(count, dtype=np.int32), np.array(weights), ["c"] * count, 0)


def batches(
    data: Dataset, size: int, seed: int, start: int, count: int, shapes: dict[str, tuple[int, ...]] = SHAPES
) -> list[dict[str, np.ndarray]]:
    with Batches(data, size, shapes, seed, start) as made:
        return [made[number][0] for number in range(count)]


def drawn(weights: list[float], steps: int, size: int = 500) -> np.ndarray:
    rows = np.concatenate([batch["image"].ravel() for batch in batches(dataset(weights), size, 3, 0, steps)])
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
    straight = batches(data, 8, 5, 0, 4)
    (late,) = batches(data, 8, 5, 3, 1)
    assert all(np.array_equal(late[name], straight[3][name]) for name in late)
    assert not np.array_equal(straight[2]["image"], straight[3]["image"])
    (other,) = batches(data, 8, 6, 3, 1)
    assert not np.array_equal(late["latents"], other["latents"])


def test_image_and_label_are_of_the_same_row() -> None:
    (batch,) = batches(dataset([1.0] * 50), 64, 5, 0, 1)
    assert np.array_equal(batch["image"].ravel(), batch["label"])
    assert batch["latents"].dtype == np.float32


def test_every_number_asked_for_is_standard_normal_and_its_own() -> None:
    (batch,) = batches(dataset([1.0] * 50), 4000, 5, 0, 1, {"latents": (3,), "time": (), "step": (2, 2, 1)})
    assert batch["time"].shape == (4000,)
    assert batch["step"].shape == (4000, 2, 2, 1)
    numbers = np.concatenate([batch[name].reshape(4000, -1) for name in ("latents", "time", "step")], axis=1)
    assert np.abs(numbers.mean(axis=0)).max() < 0.06
    assert np.abs(np.cov(numbers.T) - np.eye(8)).max() < 0.08


def test_images_on_disk_are_sampled_as_those_in_memory(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
    found = []
    for share in (1.0, 0.0):
        store = image_store.create(60, (4, 4, 3), share, tmp_path)
        assert isinstance(store, image_store.MemoryStore if share else image_store.FileStore)
        for part in np.split(images, [7, 7, 40]):
            store.add(part)
        data = Dataset(store.images(), np.arange(60, dtype=np.int32), np.ones(60), ["c"] * 60, 0)
        assert data.images.shape == (60, 4, 4, 3)
        found.append([batch["image"] for batch in batches(data, 16, 1, 0, 5)])
    assert all(np.array_equal(one, other) for one, other in zip(*found, strict=True))
    assert not list(tmp_path.iterdir()), "the file has no name, so nothing is left of it"


def test_reading_twice_from_the_beginning_gives_the_same() -> None:
    """As Keras does to learn the shapes, and once more where devices share batches."""
    with Batches(dataset([1.0] * 50), 8, SHAPES, 5, 0) as made:
        once, again = ([made[number][0]["image"] for number in range(6)] for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(once, again, strict=True))


def test_fit_reads_every_batch_in_order_and_knows_their_size() -> None:
    with Batches(dataset([1.0] * 50), 8, SHAPES, 5, 3) as made:
        fed = backend.as_dataset(made)
        if backend.name() != "tensorflow":
            pytest.skip("only TensorFlow has to be told")
        read = [batch["image"].numpy() for (batch,) in fed.take(4)]
        expected = [made[number][0]["image"] for number in range(4)]
    assert all(np.array_equal(one, other) for one, other in zip(read, expected, strict=True))
    assert fed.element_spec[0]["image"].shape == (8, 1, 1, 1)
