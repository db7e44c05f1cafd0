"""Normalisation by groups of channels, as Keras has it, with a style on top."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.core import backend

backend.load()

import keras  # noqa: E402

from pipelines.models.components import GroupNorm  # noqa: E402


@pytest.mark.parametrize("channels", [8, 16, 48])
def test_it_is_keras_group_normalization_with_a_style_on_top(channels: int) -> None:
    random = np.random.default_rng(0)
    hidden = (3.0 + 2.0 * random.standard_normal((4, 6, 6, channels))).astype(np.float32)
    style = random.standard_normal((4, 2 * channels)).astype(np.float32)
    ours, usual = GroupNorm(), keras.layers.GroupNormalization(max(1, channels // 16), epsilon=1e-5)
    ours(hidden), usual(hidden)
    weights = [random.standard_normal(channels).astype(np.float32) for _ in range(2)]
    for layer in (ours, usual):
        layer.set_weights(weights)
    plain = keras.ops.convert_to_numpy(usual(hidden))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(hidden)), plain, atol=2e-5)
    scale, shift = (part[:, None, None, :] for part in np.split(style, 2, axis=1))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(ours(hidden, style)), plain * (1 + scale) + shift, atol=1e-4)


def test_any_number_of_channels_can_be_grouped() -> None:
    layer = GroupNorm()
    assert layer(np.ones((1, 4, 4, 50), np.float32)).shape == (1, 4, 4, 50)
    assert layer.groups == 2


def test_what_is_the_same_everywhere_becomes_the_shift() -> None:
    layer = GroupNorm()
    assert np.abs(keras.ops.convert_to_numpy(layer(np.full((2, 4, 4, 16), 100.0, np.float32)))).max() < 0.1


def test_under_mixed_precision_moments_are_exact() -> None:
    random = np.random.default_rng(0)
    hidden = (20.0 + random.standard_normal((2, 16, 16, 16))).astype(np.float32)
    layer = GroupNorm(dtype="mixed_bfloat16")
    found = layer(hidden)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    found = keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))
    assert np.abs(found.mean(axis=(1, 2, 3))).max() < 0.1
    assert found.std() == pytest.approx(1.0, abs=0.1)
