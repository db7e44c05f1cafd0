from __future__ import annotations

import numpy as np
import pytest

from pipelines.core import grids


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_in_rows_scaled_without_smoothing(channels: int) -> None:
    images = np.zeros((5, 8, 8, channels), np.uint8)
    images[3, 0, 0] = 255
    page = np.asarray(grids.grid(images, columns=2))
    assert page.shape == (3 * 66 + 2, 2 * 66 + 2, 3)
    assert np.argwhere((page == 255).all(-1)).tolist() == [[68 + y, 68 + x] for y in range(8) for x in range(8)]


def test_large_images_stay_as_they_are() -> None:
    page = grids.grid(np.zeros((1, 100, 100, 3), np.uint8), columns=1)
    assert page.size == (100 + 2 * grids.GAP, 100 + 2 * grids.GAP)


def test_a_class_with_more_images_than_fit_goes_on_in_the_next_row() -> None:
    labels = np.array([0] * 5 + [1], np.int32)
    page = grids.by_class(np.zeros((6, 8, 8, 1), np.uint8), labels, ["a", "b"], widest=4)
    assert page.height == 3 * 66 + 2


def test_a_note_is_wide_enough_for_its_text() -> None:
    short, long = (np.asarray(grids.note("not measured" * times)) for times in (1, 3))
    for page in (short, long):
        ink = np.argwhere((page != grids.FRAME).any(-1))
        assert ink[:, 1].max() < page.shape[1] - grids.GAP
        assert len(ink) > 100
    assert long.shape[1] > 2 * short.shape[1]
