"""digits: all of scikit-learn's, over the whole range of greys."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pipelines.sources.digits import Digits


def test_every_digit_is_there_over_the_whole_range() -> None:
    source = Digits(type="digits")
    items = list(source.items())
    pixels = np.stack([item.image for item in items])
    assert pixels.shape == (1797, 8, 8)
    assert pixels.dtype == np.uint8
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert source.classes() == list("0123456789")
    assert sorted(Counter(item.label for item in items)) == list(range(10))
    assert np.bincount([item.label for item in items]).min() > 170
