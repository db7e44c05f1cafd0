"""near_copy: rows that look like an earlier row: re-encoded, resized, lightly retouched."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipelines.core.lazy import np
from pipelines.rules.base import CopyRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.core.facts import Facts


class NearCopy(CopyRule):
    """Perceptual hashes at most `distance` bits apart and thumbnails at most `difference` greys (mean absolute).

    The hash alone would call most handwritten ones copies of each other; the thumbnails confirm.
    """

    rule: Literal["near_copy"]
    distance: Annotated[int, Field(ge=0, le=8)] = 2
    difference: Annotated[float, Field(ge=0, le=255)] = 1.0

    def pairs(self, facts: Facts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        hashes, thumbnails = facts["hash"], facts["thumbnail"]
        # Two hashes at most d bits apart agree wholly in one of d + 1 bands of bits (pigeonhole).
        edges = np.linspace(0, 64, self.distance + 2).astype(int)
        for low, high in itertools.pairwise(edges):
            mask = np.uint64((1 << int(high)) - (1 << int(low)))
            for one, other in neighbours(hashes & mask):
                near = np.bitwise_count(hashes[one] ^ hashes[other]) <= self.distance
                one, other = one[near], other[near]
                apart = np.abs(thumbnails[one].astype(np.int16) - thumbnails[other]).mean(axis=(1, 2))
                alike = apart <= self.difference
                yield one[alike], other[alike]


def neighbours(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of rows with equal keys, as blocks of two index arrays."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    same, step = np.arange(len(keys)), 0
    while len(same):
        step += 1
        same = same[same < len(keys) - step]
        same = same[ordered[same] == ordered[same + step]]  # what differs one step on differs further on too
        for block in np.array_split(same, len(same) // 2**18 + 1):
            yield order[block], order[block + step]
