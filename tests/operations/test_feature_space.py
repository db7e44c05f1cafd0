"""The feature space: what is kept of images that come chunk by chunk."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from operations.feature_space import FeatureSpace
from pipelines.core.form import Form
from pipelines.features.base import Features
from pipelines.scoring import views


@pytest.mark.parametrize("every", [1, 3])
def test_pixels_are_kept_of_the_chosen_images_wherever_chunks_end(monkeypatch: pytest.MonkeyPatch, every: int) -> None:
    monkeypatch.setattr(views, "MOST_PIXEL_ROWS", 20)
    images = np.arange(100, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)  # each is its number

    def chunks(form: Form) -> Iterator[np.ndarray]:
        yield from np.split(images, [1, 2, 40, 90])

    extractor: Any = SimpleNamespace(extract=lambda some: Features(some[:, 0, 0].astype(np.float32), None))
    space = FeatureSpace("numbers", extractor, Form(4, 1), [], np.zeros(100, bool))
    image_set: Any = SimpleNamespace(name="set", chunks=chunks)
    chosen = np.arange(100) % every == 0
    features, pixels = space.describe(image_set, 100, None if every == 1 else chosen)
    numbers = np.flatnonzero(chosen)
    assert features.vectors[0 : len(numbers)].ravel().tolist() == numbers.tolist()
    assert pixels[:, 0, 0, 0].tolist() == numbers[views.pixel_rows(len(numbers))].tolist()
    assert len(pixels) == 20
