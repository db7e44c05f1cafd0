"""How much of the training rows one rater can move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

ROUNDING = 1e-9


class Parts:
    """most: rows that one rater can move. moved: rows, and shares of rows, that each rater has."""

    def __init__(self, most: float) -> None:
        self.most = most
        self.moved: Counter[str] = Counter()

    def take(self, raters: Iterable[str]) -> bool:
        """One row, shared equally among as many of these raters as have room; False where nobody has.

        Whoever is at the limit is passed over: else one who likes everything could keep all others from being heard.
        """
        by_room = sorted(set(raters), key=lambda rater: (self.moved[rater], rater))
        for count in range(len(by_room), 0, -1):
            sharing = by_room[:count]
            if self.moved[sharing[-1]] + 1 / count <= self.most + ROUNDING:
                for rater in sharing:
                    self.moved[rater] += 1 / count  # type: ignore[assignment]
                return True
        return False
