"""told_apart: real images pass, spoiled ones do not; only what can be seen counts; and bad inputs get no misleading number."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines.features.base import Features
from pipelines.metrics import intervals, told_apart, two_samples
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.metrics.intervals import Estimate, NotEnoughError
from pipelines.scoring import views


@pytest.fixture(autouse=True)
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_samples, "TREES", 16)


def blobs(count: int, seed: int, size: int = 12, channels: int = 1, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """(count, size, size, channels) uint8 bright spots on black, and their (count,) labels: in which half of the image."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    at = random.uniform(0.2, 0.8, (count, 2)) * size
    at[:, 0] = (at[:, 0] + labels * size) / 2
    places = np.arange(size)
    squares = (places[:, None] - at[:, :1, None]) ** 2 + (places - at[:, 1:, None]) ** 2
    images = 230 * np.exp(-squares / (size / 4) ** 2)[..., None] + random.normal(0, noise, (count, size, size, channels))
    return np.clip(images, 0, 255).astype(np.uint8), labels.astype(np.int32)


def compare(
    generated: np.ndarray, real: np.ndarray, labels: np.ndarray | None = None, real_labels: np.ndarray | None = None
) -> Comparison:
    rows, real_rows = views.pixel_rows(len(generated)), views.pixel_rows(len(real))
    nothing = [Features(np.zeros((len(images), 1), np.float32), None) for images in (generated, real)]
    real_labels = np.full(len(real), -1) if real_labels is None else real_labels
    benchmark = Benchmark("id", ["up", "down"], nothing[1], real_labels)
    benchmark = replace(benchmark, pixels=views.pixels(real[real_rows]), pixel_labels=real_labels[real_rows])
    return Comparison(GeneratedFeatures(nothing[0], labels, pixels=views.pixels(generated[rows]), pixel_rows=rows), benchmark)


def score(generated: np.ndarray, real: np.ndarray, *labels: np.ndarray) -> Estimate:
    return told_apart.score(compare(generated, real, *labels))["told_apart"]


def test_real_images_pass_and_the_interval_holds_one_half() -> None:
    for channels in (1, 3):
        generated, real = (blobs(200, seed, channels=channels, noise=20) for seed in (1, 2))
        found = score(generated[0], real[0], generated[1], real[1])
        assert found.interval.low < 0.5 < found.interval.high
        assert 0.4 < found.value < 0.6
        assert found.ideal == 0.5


def test_noise_blur_and_checkerboards_are_seen() -> None:
    real, spoiled = blobs(150, 1)[0], blobs(150, 2)[0]
    board = np.indices(real.shape[1:3]).sum(axis=0)[..., None] % 2 * 14
    smooth = np.mean([np.roll(spoiled, (a, b), (1, 2)).astype(float) for a in (-1, 0, 1) for b in (-1, 0, 1)], axis=0)
    for images in (blobs(150, 2, noise=25)[0], smooth, np.minimum(spoiled, 240) + board):
        found = score(images.astype(np.uint8), real)
        assert found.value > 0.85
        assert found.interval.low > 0.7


def test_what_nobody_can_see_does_not_count() -> None:
    generated, real = np.maximum(blobs(200, 1)[0], 1), blobs(200, 2)[0]
    assert (generated.min(), real.min()) == (1, 0)
    found = score(generated, real)
    assert found.interval.low < 0.5 < found.interval.high


@pytest.mark.parametrize("size", [8, 256])
def test_small_and_large_images_are_told_apart_by_fine_noise(size: int) -> None:
    real, noisy = blobs(60, 1, size)[0], blobs(60, 2, size, noise=40)[0]
    assert score(noisy, real).value > 0.9
    assert score(blobs(60, 3, size)[0], real).value < 0.75


def test_constant_images_are_alike_or_wholly_different() -> None:
    black, white = np.zeros((60, 8, 8, 1), np.uint8), np.full((60, 8, 8, 1), 255, np.uint8)
    assert score(black, black).interval.low < 0.5 < score(black, black).interval.high
    found = score(white, black)
    assert found.value == 1
    low, high = found.interval
    assert 0.9 < low < 1  # 120 of 120 are no proof that it is always so
    assert high == 1


def test_as_many_of_each_class_of_either_side_are_compared() -> None:
    generated_labels, real_labels = np.repeat([0, 1, 3], [50, 10, 7]), np.repeat([1, 0, 2, -1], [40, 30, 9, 5])
    generated, real = two_samples.match(generated_labels, real_labels)
    assert generated_labels[generated].tolist() == real_labels[real].tolist() == [0] * 30 + [1] * 10
    assert len(set(generated.tolist())) == len(set(real.tolist())) == 40
    more, same_real = two_samples.match(np.repeat([0, 1], 100), real_labels)
    assert set(real.tolist()) <= set(same_real.tolist())  # two models are compared on the same real rows
    assert len(more) == 70


def test_without_labels_on_a_side_all_rows_are_compared() -> None:
    for labels, others in ((np.full(30, -1), np.arange(20) % 3), (np.arange(30) % 3, np.full(20, -1))):
        generated, real = two_samples.match(labels, others)
        assert len(generated) == len(real) == 20


def test_a_difference_of_classes_alone_is_not_what_gives_images_away() -> None:
    images, labels = blobs(600, 1, noise=20)
    up = np.flatnonzero(labels == 0)
    generated, real = (
        np.concatenate([up[:200], np.flatnonzero(labels)[:80]]),
        np.concatenate([up[200:280], np.flatnonzero(labels)[80:280]]),
    )
    assert score(images[generated], images[real]).interval.low > 0.5  # shares of classes differ
    found = score(images[generated], images[real], labels[generated], labels[real])
    assert found.interval.low < 0.5 < found.interval.high


def test_too_few_images_and_foreign_classes_are_not_enough() -> None:
    images, labels = blobs(100, 1)
    with pytest.raises(NotEnoughError, match=r"told_apart needs 50 generated and as many real images .* came 30"):
        score(images[:30], images, labels[:30], labels)
    with pytest.raises(NotEnoughError, match="of the same classes or more, came 0"):
        score(images, images, labels, labels + 2)
    with pytest.raises(NotEnoughError, match="came 4"):
        score(images, images, labels, np.where(np.arange(100) < 4, labels, 5))


def test_a_single_class_and_two_rows_of_a_class_have_a_score() -> None:
    images, labels = blobs(120, 1, noise=20)
    one = np.zeros(60, np.int32)
    assert 0.3 < score(images[:60], images[60:], one, one).value < 0.7
    rare = labels[:60].copy()
    rare[:2] = 7
    assert 0.3 < score(images[:60], images[60:], rare, rare).value < 0.7


def test_without_images_there_is_no_such_score() -> None:
    images = blobs(60, 1)[0]
    comparison = compare(images, images)
    bare = replace(comparison, candidate=replace(comparison.candidate, pixels=None, pixel_rows=None))
    assert told_apart.score(bare) == {}
    in_project = replace(bare, benchmark=replace(bare.benchmark, ids=np.arange(60).astype(str)))
    with pytest.raises(NotEnoughError, match="which older results lack; `genloop run` makes them anew"):
        told_apart.score(in_project)


def test_the_same_images_get_the_same_score() -> None:
    generated, real = blobs(80, 1, noise=20)[0], blobs(80, 2, noise=10)[0]
    first, second = (score(generated, real) for _ in range(2))
    assert (first.value, first.interval) == (second.value, second.interval)


def test_shares_are_of_the_images_that_they_are_said_to_be_of() -> None:
    images, real = blobs(300, 1)[0], blobs(100, 2)[0]
    spoiled = np.arange(300) % 3 == 0
    images[spoiled] = np.clip(images[spoiled] + np.random.default_rng(0).normal(0, 40, images[spoiled].shape), 0, 255)
    found = compare(images, real).told_apart
    order = found.generated[np.argsort(-found.share)]
    assert len(order) == 100
    assert spoiled[order[:12]].mean() > 0.9
    assert spoiled[order[-12:]].mean() < 0.1


def test_two_models_are_compared_on_the_same_real_rows() -> None:
    real = blobs(100, 1, noise=10)[0]
    better, worse = score(blobs(100, 2, noise=14)[0], real), score(blobs(160, 3, noise=60)[0], real)
    middle, (low, high) = intervals.difference(worse, better)
    assert middle == pytest.approx(worse.value - better.value)
    assert low < middle < high
