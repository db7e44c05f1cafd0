"""Disturbances: each spoils an image, the more the stronger, and gives images of the same form."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.features import disturbances
from tests.contracts import pictures

KINDS = pytest.mark.parametrize("kind", disturbances.KINDS)


def disturb(kind: str, images: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
    return disturbances.KINDS[kind](images, np.full(len(images), strength), np.random.default_rng(seed))


@KINDS
@pytest.mark.parametrize(("size", "channels"), [(4, 1), (8, 3), (33, 1), (256, 3)])
def test_images_keep_their_form_and_the_originals_stay_as_they_are(kind: str, size: int, channels: int) -> None:
    images = pictures(3, size, channels)
    before = images.copy()
    found = disturb(kind, images, 0.5)
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    assert (images == before).all()
    assert (disturb(kind, images, 0.5) == found).all(), "the generator decides"


@KINDS
def test_a_greater_strength_changes_more(kind: str) -> None:
    images = pictures(64, 16, 1)
    changes = [np.abs(disturb(kind, images, strength) - images.astype(float)).mean() for strength in (0.0, 0.5, 1.0)]
    assert 0 < changes[0] < changes[1] < changes[2]


@KINDS
def test_each_image_has_its_own_strength(kind: str) -> None:
    images = pictures(40, 16, 3)
    mixed = disturbances.KINDS[kind](images, np.repeat([0.0, 1.0], 20), np.random.default_rng(1))
    change = np.abs(mixed - images.astype(float)).mean(axis=(1, 2, 3))
    assert change[:20].mean() < change[20:].mean()


@KINDS
def test_an_image_alone_and_images_of_one_grey_are_taken(kind: str) -> None:
    assert disturb(kind, pictures(1, 8, 1), 1.0).shape == (1, 8, 8, 1)
    assert disturb(kind, np.full((2, 8, 8, 1), 255, np.uint8), 1.0).shape == (2, 8, 8, 1)


@pytest.mark.parametrize("kind", ["blend", "cut"])
def test_what_is_mixed_in_is_of_another_image(kind: str) -> None:
    images = np.stack([np.full((8, 8, 1), grey, np.uint8) for grey in (0, 80, 160, 240)])
    assert (disturb(kind, images, 1.0) != images).any(axis=(1, 2, 3)).all()
