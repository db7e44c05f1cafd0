"""The appearance of images in numbers, by images of which they are known."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.scoring import appearance
from tests.contracts import pictures

NAMES = (
    *("brightness", "contrast"),
    *("ink", "covered", "x", "y", "across", "up", "product"),
    *("edges", "edges_across", "edges_up", "direction", "slope"),
    *("left_right", "top_bottom"),
    *("red_green", "yellow_blue", "colour"),
)


def measured(images: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, appearance.measure(images).T, strict=False))


def bar(size: int, rows: slice, columns: slice, grey: int = 200, ground: int = 0) -> np.ndarray:
    image = np.full((1, size, size, 1), ground, np.uint8)
    image[:, rows, columns] = grey
    return image


@pytest.mark.parametrize(("size", "channels"), [(4, 1), (16, 1), (28, 3), (7, 3)])
def test_there_are_as_many_numbers_as_are_promised_and_all_are_finite(size: int, channels: int) -> None:
    images = np.concatenate([pictures(3, size, channels), np.zeros((1, size, size, channels), np.uint8)])
    found = appearance.measure(images)
    assert (found.shape, found.dtype) == ((4, appearance.COLUMNS[channels]), np.float32)
    assert np.isfinite(found).all()
    assert appearance.measure(images[:0]).shape == (0, appearance.COLUMNS[channels])


def test_many_images_are_measured_as_each_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(7, 8, 3)
    at_once = appearance.measure(images)
    monkeypatch.setattr(appearance, "AT_ONCE", 8 * 8 * 3 * 2)
    assert appearance.measure(images) == pytest.approx(at_once, abs=1e-6)


def test_ink_is_what_differs_from_an_images_own_ground() -> None:
    dark, light = bar(20, np.s_[5:15], np.s_[8:12], 200, 20), bar(20, np.s_[5:15], np.s_[8:12], 50, 230)
    both = measured(np.concatenate([dark, light]))
    assert both["ink"] == pytest.approx(0.1 * 180 / 255, rel=1e-4)
    assert both["covered"] == pytest.approx(0.1)
    assert both["brightness"][0] < 0.3 < 0.8 < both["brightness"][1]


def test_moments_say_where_ink_is_and_how_it_is_spread() -> None:
    upright, lying = bar(20, np.s_[2:18], np.s_[9:11]), bar(20, np.s_[9:11], np.s_[2:18])
    corner = bar(20, np.s_[2:6], np.s_[14:18])
    found = measured(np.concatenate([upright, lying, corner]))
    assert found["up"][0] > 10 * found["across"][0]
    assert found["across"][1] > 10 * found["up"][1]
    assert found["x"][:2] == pytest.approx(0, abs=1e-6)
    assert min(found["x"][2], found["y"][2]) > 0.5
    leaning = np.zeros((2, 20, 20, 1), np.uint8)
    for row in range(2, 18):
        leaning[0, row, 18 - row], leaning[1, row, row + 1] = 200, 200
    assert measured(leaning)["product"][0] > 0.1 > -0.1 > measured(leaning)["product"][1]


def test_edges_have_a_strength_and_a_direction() -> None:
    stripes = (np.arange(16) // 2 % 2 * 200).astype(np.uint8)
    upright = np.broadcast_to(stripes[None, None, :, None], (1, 16, 16, 1))
    lying = np.broadcast_to(stripes[None, :, None, None], (1, 16, 16, 1))
    found = measured(np.concatenate([upright, lying, np.full((1, 16, 16, 1), 90, np.uint8)]))
    assert found["edges_across"][0] == pytest.approx(found["edges_up"][1])
    assert found["edges_up"][1] > 0.1
    assert found["edges_up"][0] == found["edges_across"][1] == 0
    assert found["direction"][0] == pytest.approx(-found["direction"][1])
    assert found["direction"][0] > 0
    assert found["edges"][2] == found["direction"][2] == found["slope"][2] == 0


def test_an_image_that_is_its_own_mirror_image_has_no_asymmetry() -> None:
    found = measured(np.concatenate([bar(20, np.s_[2:9], np.s_[5:15]), bar(20, np.s_[5:15], np.s_[2:9])]))
    assert found["left_right"][0] == found["top_bottom"][1] == 0
    assert min(found["left_right"][1], found["top_bottom"][0]) > 0.1


def test_colours_are_opponents_and_grey_is_none() -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [128, 128, 128]], np.uint8)
    found = measured(np.broadcast_to(colours[:, None, None], (4, 8, 8, 3)))
    assert found["red_green"] == pytest.approx([1, -1, 0, 0])
    assert found["yellow_blue"] == pytest.approx([0.5, 0.5, -1, 0])
    assert found["colour"] == pytest.approx([1, 1, 1, 0])
