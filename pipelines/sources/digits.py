"""digits: scikit-learn's 1,797 handwritten digits, which come with the package: a run needs no download."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pipelines.sources.base import Item, Source


class Digits(Source):
    type: Literal["digits"]

    def classes(self) -> list[str]:
        return [str(digit) for digit in range(10)]

    def items(self) -> Iterator[Item]:
        import numpy as np
        from sklearn.datasets import load_digits

        digits = load_digits()
        pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # (1797, 8, 8), 0..16 -> 0..255
        for number, (image, label) in enumerate(zip(pixels, digits.target.tolist(), strict=True)):
            yield Item(image, label, str(number))

    def size_hint(self) -> int | None:
        return 1797
