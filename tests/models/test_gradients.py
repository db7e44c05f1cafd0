"""Layers and gradients written out by hand do what Keras' own do."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core import backend

backend.load()

import tensorflow as tf  # noqa: E402
from keras import layers, ops  # noqa: E402

from pipelines.models import components  # noqa: E402

MAPS = np.random.default_rng(0).standard_normal((2, 5, 5, 3)).astype(np.float32)


def plain_sums(maps: tf.Tensor) -> tf.Tensor:
    return ops.stack([ops.sum(maps, axis=(1, 2)), ops.sum(ops.square(maps), axis=(1, 2))], axis=1)


@pytest.mark.parametrize(("ours", "keras_own"), [(components.silu, ops.silu), (components.sums, plain_sums)])
def test_values_and_gradients(ours, keras_own) -> None:
    found = []
    for function in (ours, keras_own):
        maps = tf.constant(MAPS)
        with tf.GradientTape() as tape:
            tape.watch(maps)
            value = function(maps)
            loss = ops.sum(ops.sin(value))
        found.append((value.numpy(), tape.gradient(loss, maps).numpy()))
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_larger_map_is_that_of_repeated_places_and_a_convolution() -> None:
    larger = components.Upsample(4)
    found = larger(MAPS)
    larger.bias.assign(np.arange(4))
    repeated = ops.conv(layers.UpSampling2D()(MAPS), larger.kernel, padding="same")
    assert found.shape == (2, 10, 10, 4)
    np.testing.assert_allclose(found, repeated, atol=1e-5)
    np.testing.assert_allclose(larger(MAPS), repeated + larger.bias, atol=1e-5)
