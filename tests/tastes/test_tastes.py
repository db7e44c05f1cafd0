"""Tastes: one contract for every member, and what each likes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.tastes.base import RealRows
from pipelines.tastes.legible import Legible
from pipelines.tastes.slant import Slant, angles
from pipelines.tastes.stroke_weight import StrokeWeight
from tests.contracts import pictures


def bars(shears: list[float], width: int = 3, size: int = 28) -> np.ndarray:
    """White bars on black, leaning to the right by these tangents: (n, size, size, 1) uint8."""
    drawn = []
    for shear in shears:
        image = Image.new("L", (4 * size, 4 * size))
        top = 4 * size // 2 + shear * 1.5 * size, size // 2
        bottom = 4 * size // 2 - shear * 1.5 * size, 4 * size - size // 2
        ImageDraw.Draw(image).line([top, bottom], fill=255, width=4 * width)
        drawn.append(np.asarray(image.resize((size, size), Image.Resampling.BOX)))
    return np.stack(drawn)[..., None]


def none(images: np.ndarray) -> np.ndarray:
    return np.full(len(images), -1, np.int32)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    backend.load()
    from pipelines.tastes import classifier

    monkeypatch.setattr(classifier, "STEPS", 40)


@pytest.mark.parametrize("name", catalogue.TASTES)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (16, 3)])
def test_every_taste_keeps_its_contract(name: str, size: int, channels: int, quick: None) -> None:
    images, labels = pictures(200, size, channels), (np.arange(200) % 3).astype(np.int32)
    taste = catalogue.get(catalogue.TASTES, name)(name=name)
    likes = taste.fit(RealRows(images, labels, ["a", "b", "c"]))
    found = likes(images, labels)
    assert found.dtype == bool
    assert found.shape == (200,)
    order = np.random.default_rng(0).permutation(200)
    assert np.array_equal(likes(images[order], labels[order]), found[order])


@pytest.mark.parametrize("name", catalogue.TASTES)
def test_a_taste_takes_no_settings_but_its_own(name: str) -> None:
    with pytest.raises(ValidationError):
        catalogue.get(catalogue.TASTES, name)(name=name, colour="red")


@pytest.mark.parametrize("inverted", [False, True])
def test_stroke_weight_likes_heavy_strokes_on_whatever_background(inverted: bool) -> None:
    thin, thick = bars([0, 0.1, 0.2], width=2), bars([0, 0.1, 0.2], width=5)
    images = np.concatenate([thin, thick])
    images = 255 - images if inverted else images
    likes = StrokeWeight(name="stroke_weight").fit(RealRows(images, none(images), []))
    assert likes(images, none(images)).tolist() == [False] * 3 + [True] * 3
    dislikes = StrokeWeight(name="stroke_weight", prefer="lighter").fit(RealRows(images, none(images), []))
    assert dislikes(images, none(images)).tolist() == [True] * 3 + [False] * 3


def test_each_image_has_a_background_of_its_own() -> None:
    images = bars([0.2, -0.2], width=3)
    on_grounds = np.concatenate([images, images // 2 + 40])
    assert angles(on_grounds) == pytest.approx(np.tile(angles(images), 2), abs=0.01)


def test_stroke_weight_likes_half_of_the_real_rows() -> None:
    images = pictures(400, 16, 3) // np.arange(1, 5, dtype=np.uint8).repeat(100)[:, None, None, None]
    liked = StrokeWeight(name="stroke_weight").fit(RealRows(images, none(images), []))(images, none(images))
    assert liked.mean() == pytest.approx(0.5, abs=0.01)


def test_slant_measures_the_angle_of_a_shear() -> None:
    shears = [-0.5, -0.2, 0.0, 0.2, 0.5]
    assert np.tan(angles(bars(shears))) == pytest.approx(shears, abs=0.03)
    assert angles(np.zeros((1, 8, 8, 1), np.uint8)).tolist() == [0.0]


def test_slant_likes_what_leans_to_its_side() -> None:
    images = bars([-0.4, -0.1, 0.2, 0.5])
    right = Slant(name="slant").fit(RealRows(images, none(images), []))
    assert right(images, none(images)).tolist() == [False, False, True, True]
    left = Slant(name="slant", prefer="left").fit(RealRows(images, none(images), []))
    assert left(images, none(images)).tolist() == [True, True, False, False]


def test_legible_likes_what_is_of_the_class_asked_for(quick: None) -> None:
    labels = (np.arange(100) % 2).astype(np.int32)
    images = np.where(labels[:, None, None, None] > 0, bars([0.5]), bars([-0.5])).astype(np.uint8)
    images = np.clip(images + np.random.default_rng(0).integers(0, 60, images.shape), 0, 255).astype(np.uint8)
    likes = Legible(name="legible").fit(RealRows(images, labels, ["left", "right"]))
    assert likes(images, labels).mean() > 0.95
    assert likes(images, 1 - labels).mean() < 0.05


def test_legible_says_that_it_needs_classes(quick: None) -> None:
    images = pictures(20, 8, 1)
    with pytest.raises(InputError, match="labels of two classes"):
        Legible(name="legible").fit(RealRows(images, none(images), []))


def test_the_classifier_is_trained_once_for_all_who_ask(quick: None) -> None:
    real = RealRows(pictures(50, 8, 1), (np.arange(50) % 2).astype(np.int32), ["a", "b"])
    assert real.classifier is real.classifier
