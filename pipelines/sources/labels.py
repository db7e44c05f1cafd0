"""Labels as sources hold them: whole numbers from 0."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pipelines.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MOST = 99_999  # a larger label is a number of another kind, such as an id


def checked(labels: np.ndarray, name: str, first: int = 0) -> np.ndarray:
    """(n,) of any integer dtype -> (n,) int64, each from 0 to `MOST`. `first`: number of the first row."""
    import numpy as np

    for wrong, rule in ((labels < 0, "must not be negative"), (labels > MOST, f"must be at most {MOST}")):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(f"{name}: labels {rule}, but row {first + row} has {labels[row]}")
    return labels.astype(np.int64)


def names(arrays: Iterable[np.ndarray]) -> list[str]:
    """ "0", "1" and so on up to the largest label; empty where there is none."""
    return [str(number) for number in range(max((int(array.max()) + 1 for array in arrays if len(array)), default=0))]
