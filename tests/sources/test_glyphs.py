"""glyphs: any number, each drawn from its seed and number alone, all different."""

from __future__ import annotations

import itertools
import tracemalloc

import numpy as np
import pytest
from pydantic import ValidationError

from pipelines.core.errors import InputError
from pipelines.sources.glyphs import Glyphs


def drawn(**settings: object) -> np.ndarray:
    return np.stack([item.image for item in Glyphs(type="glyphs", **settings).items()])


def test_an_image_depends_on_its_seed_and_number_alone() -> None:
    few, many, other = drawn(count=20), drawn(count=50), drawn(count=20, seed=1)
    assert few.shape == (20, 28, 28)
    assert few.dtype == np.uint8
    assert (many[:20] == few).all()
    assert not any((one == two).all() for one, two in zip(few, other, strict=True))


def test_no_two_are_alike_and_all_show_something() -> None:
    images = drawn(count=2000)
    assert len({image.tobytes() for image in images}) == 2000
    assert images.std(axis=(1, 2)).min() > 10
    assert images.max(axis=(1, 2)).min() > 90


def test_characters_come_in_turn_and_are_the_classes() -> None:
    source = Glyphs(type="glyphs", count=7, characters="aéΩ")
    assert source.classes() == ["a", "é", "Ω"]
    assert [item.label for item in source.items()] == [0, 1, 2, 0, 1, 2, 0]


def test_a_character_looks_more_like_itself_than_like_another() -> None:
    images = drawn(count=400, characters="1W").astype(float)
    mean = [images[label::2].mean(axis=0) for label in (0, 1)]
    assert np.abs(mean[0] - mean[1]).mean() > 10


@pytest.mark.parametrize("size", [8, 64])
def test_the_size_is_as_asked(size: int) -> None:
    images = drawn(count=20, size=size)
    assert images.shape == (20, size, size)
    assert images.std(axis=(1, 2)).min() > 8


def test_memory_does_not_grow_with_the_number() -> None:
    items = Glyphs(type="glyphs", count=10**9).items()
    sum(1 for _ in itertools.islice(items, 2000))  # fills the caches
    tracemalloc.start()
    sum(1 for _ in itertools.islice(items, 1000))
    assert tracemalloc.get_traced_memory()[0] < 2 * 2**20
    tracemalloc.stop()


def test_a_character_that_no_font_has_is_named() -> None:
    with pytest.raises(InputError, match="no font of matplotlib has the character '漢'"):
        Glyphs(type="glyphs", characters="a漢").classes()


@pytest.mark.parametrize("settings", [{"characters": "aa"}, {"characters": "a b"}, {"count": 0}, {"size": 4}, {"seed": -1}])
def test_settings_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Glyphs(type="glyphs", **settings)
