"""Changes of images: what they do, how often, and that nothing of them is random by itself."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from scipy.stats import norm

from pipelines.core import backend
from tests.contracts import pictures

backend.load()

from pipelines.models import augment  # noqa: E402
from pipelines.models.augment import Augmentation  # noqa: E402

SIDE = 8


def numbers(count: int = 1, **uniform: float) -> np.ndarray:
    """Standard normal numbers by what they come to as uniform ones; by default nothing is changed."""
    names = ("flip", "shift", "right", "down", "rotate", "angle", "cutout", "across", "along")
    values = [uniform.get(name, 0.5 if name in ("right", "down", "angle", "across", "along") else 0.999) for name in names]
    return np.tile(norm.ppf(values), (count, 1)).astype(np.float32)


def changed(
    images: np.ndarray, how: Augmentation, given: np.ndarray, probability: float = 0.8
) -> tuple[np.ndarray, np.ndarray]:
    found, changes = augment.change(keras.ops.convert_to_tensor(images), given, probability, how)
    return np.asarray(found), np.asarray(changes)


@pytest.fixture
def image() -> np.ndarray:
    return pictures(1, SIDE, 3).astype(np.float32) / 127.5 - 1


EVERYTHING = Augmentation(flip=True, shift=0.25, rotate=20.0, cutout=0.5)


def test_where_nothing_is_drawn_nothing_changes_and_none_is_described(image: np.ndarray) -> None:
    found, changes = changed(image, EVERYTHING, numbers())
    np.testing.assert_allclose(found, image, atol=1e-5)
    assert changes.shape == (1, augment.CHANGES)
    assert not changes.any()


def test_a_flip_mirrors_and_is_described(image: np.ndarray) -> None:
    found, changes = changed(image, Augmentation(flip=True), numbers(flip=0.3))
    assert np.array_equal(found, image[:, :, ::-1])
    assert changes[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    found, changes = changed(image, Augmentation(flip=True), numbers(flip=0.6))  # changed, and its unmirrored half
    assert np.array_equal(found, image)
    assert not changes.any()


def test_a_shift_moves_whole_pixels_and_reflects_at_the_edge(image: np.ndarray) -> None:
    found, changes = changed(image, Augmentation(shift=0.25), numbers(shift=0.1, right=0.9999, down=0.0001))
    assert np.array_equal(found[:, :-2, 2:], image[:, 2:, :-2])
    assert np.array_equal(found[:, 0, 0], image[:, 2, 2])
    assert np.array_equal(found[:, -1, 2], image[:, -3, 0]), "beyond the edge lies the reflected image"
    assert changes[0, 1:3].tolist() == pytest.approx([0.25, -0.25])


def test_a_quarter_turn_is_exact_and_a_small_one_keeps_the_middle(image: np.ndarray) -> None:
    found, changes = changed(image, Augmentation(rotate=90.0), numbers(rotate=0.1, angle=1 - 1e-7))
    np.testing.assert_allclose(found[0], np.rot90(image[0], -1), atol=1e-3)
    assert changes[0, 3:5].tolist() == pytest.approx([1, 1], abs=1e-4)
    round_one = np.hypot(*(np.indices((SIDE, SIDE)) - (SIDE - 1) / 2))[None, :, :, None].astype(np.float32)
    turned, _ = changed(round_one, Augmentation(rotate=30.0), numbers(rotate=0.1, angle=0.9))
    np.testing.assert_allclose(turned[0, 2:-2, 2:-2], round_one[0, 2:-2, 2:-2], atol=0.3)


def test_a_cutout_blanks_a_square_and_tells_where(image: np.ndarray) -> None:
    found, changes = changed(image, Augmentation(cutout=0.5), numbers(cutout=0.1, across=0.5, along=0.25))
    assert not found[0, 0:4, 2:6].any()
    assert np.count_nonzero((found != image).any(axis=-1)) <= 16
    assert np.array_equal(found[0, 5:], image[0, 5:])
    assert changes[0, 5:].tolist() == pytest.approx([1, 0.5, 0.25])


def test_each_kind_comes_as_often_as_it_should() -> None:
    count = 20_000
    given = np.random.default_rng(0).standard_normal((count, augment.NUMBERS)).astype(np.float32)
    changes = changed(np.zeros((count, 2, 2, 1), np.float32), EVERYTHING, given, 0.4)[1]
    assert changes[:, 0].mean() == pytest.approx(0.2, abs=0.01)
    for place in (3, 5):
        assert (changes[:, place] != 0).mean() == pytest.approx(0.4, abs=0.015)


def test_gradients_reach_the_images_through_every_change(image: np.ndarray) -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("by TensorFlow's tape")
    import tensorflow as tf

    given = numbers(flip=0.1, shift=0.1, right=0.7, down=0.2, rotate=0.1, angle=0.8)
    with tf.GradientTape() as tape:
        source = tf.Variable(image)
        loss = tf.reduce_sum(augment.change(source, given, 0.8, EVERYTHING)[0])
    gradient = np.asarray(tape.gradient(loss, source))
    assert gradient.sum() == pytest.approx(SIDE * SIDE * 3, rel=1e-3)
    assert (gradient > 0).mean() > 0.7


def test_adaptive_follows_how_well_the_discriminator_knows_the_rows() -> None:
    scores = np.arange(10.0, dtype=np.float32)[:, None]
    up, down = (float(augment.adapt(0.3, scores + shift, scores)) for shift in (1.0, -1.0))
    assert up == pytest.approx(0.3 + 10 / augment.PATIENCE)
    assert down == pytest.approx(0.3 - 10 / augment.PATIENCE)
    assert float(augment.adapt(augment.MOST, scores + 1, scores)) == pytest.approx(augment.MOST)
    assert float(augment.adapt(0.0, scores - 1, scores)) == 0
    half = np.where(np.arange(10) < 7, 1.0, -1.0).astype(np.float32)[:, None]  # 70 % of the pairs: 0.4 above chance
    assert float(augment.adapt(0.3, half, 0 * half)) < 0.3
