"""What people's judgements are explained by."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.features.base import Features
from pipelines.scoring import views
from tests.contracts import pictures


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 3), (10, 1), (4, 3)])
def test_cells_are_the_means_of_equal_parts(size: int, channels: int) -> None:
    images = pictures(5, size, channels)
    found = views.cells(images)
    assert found.shape == (5, 16 * channels)
    assert found.mean(axis=1) == pytest.approx(images.mean(axis=(1, 2, 3)) / 255, rel=1e-4)
    if size % 4 == 0:
        cells = images.reshape(5, 4, size // 4, 4, size // 4, channels).mean(axis=(2, 4)).reshape(5, -1)
        assert found == pytest.approx(cells / 255, abs=1e-6)


def test_a_margin_is_the_log_odds_of_the_label_against_the_next_class() -> None:
    p = np.array([[0.7, 0.2, 0.1], [0.7, 0.2, 0.1], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.3, 0.2]], np.float32)
    found = views.label_margins(p, np.array([0, 1, 0, 2, -1]))
    assert found == pytest.approx([np.log(3.5), np.log(2 / 7), 10, -10, 0], abs=1e-5)


def test_labels_count_only_where_the_extractor_knows_their_classes() -> None:
    images, labels = pictures(3, 8, 1), np.array([0, 1, 1])
    features = Features(np.ones((3, 5), np.float32), np.full((3, 2), 0.5, np.float32))
    widths = [
        views.compute(features, images, some, known).shape[1] for some, known in ((labels, True), (labels, False), (None, True))
    ]
    assert widths == [5 + 16 + 16 + 1, 5 + 16 + 16, 5 + 16 + 16 + 1]


def test_images_of_no_class_have_as_many_numbers_as_those_of_one() -> None:
    images, none = pictures(3, 8, 1), np.full(3, -1)
    features = Features(np.ones((3, 5), np.float32), np.full((3, 2), 0.5, np.float32))
    assert np.array_equal(views.compute(features, images, None, True), views.compute(features, images, none, True))


@pytest.mark.parametrize(("channels", "wanted"), [(1, 0), (1, 1), (3, 1)])
def test_kinds_of_numbers_are_expected_to_matter_alike_and_details_less(channels: int, wanted: int) -> None:
    few = {1: 16, 3: 19}[channels]
    sizes = [40, 16 * channels, few, wanted]
    prior = views.prior(np.zeros((2, sum(sizes))), 40, channels)
    variances = [float((part**2).sum()) for part in np.split(prior, np.cumsum(sizes)[:-1])]
    assert variances == pytest.approx([few / 9, few / 9, few, few * wanted])
    assert prior[40 + 16 * channels] == 1


def test_small_images_are_kept_as_they_are_and_large_ones_small_with_a_piece_of_full_size() -> None:
    small = pictures(3, 8, 3)
    assert views.pixels(small).tolist() == small.tolist()
    large = pictures(5, 96, 1)
    found = views.pixels(large)
    assert (found.shape, found.dtype) == ((5, 32, 64, 1), np.uint8)
    cells = large.reshape(5, 32, 3, 32, 3, 1).mean(axis=(2, 4))
    assert np.abs(found[:, :, :32] - cells).max() <= 0.51
    assert found[:, :, 32:].tolist() == large[:, 32:64, 32:64].tolist()
    assert views.pixels(pictures(2, 33, 1)).shape == (2, 32, 64, 1)


@pytest.mark.parametrize("count", [0, 1, 40, 2_000, 2_001, 25_000])
def test_rows_whose_pixels_are_kept_are_of_all_classes_in_any_order(count: int) -> None:
    rows = views.pixel_rows(count)
    assert len(rows) == min(count, 2_000)
    assert (np.diff(rows) > 0).all()
    assert rows.tolist() == views.pixel_rows(count).tolist()
    assert not len(rows) or 0 <= rows[0] <= rows[-1] < count
    if count == 25_000:
        by_turns, sorted_labels = np.arange(count) % 10, np.arange(count) // 2_500
        for labels in (by_turns, sorted_labels):
            assert np.bincount(labels[rows], minlength=10) == pytest.approx(np.full(10, 200), abs=50)
