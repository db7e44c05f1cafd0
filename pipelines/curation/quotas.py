"""How much of the training rows one rater can move."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

ROUNDING = 1e-9


class Parts:
    """most: rows that one rater can move. moved: rows, and shares of rows, that each rater has.

    of_class: by label, rows of that class that one rater can move: or one could take a whole class away, which is a small part
    of all rows.
    """

    def __init__(self, most: float, of_class: Mapping[int | None, float] | None = None) -> None:
        self.most = most
        self.of_class = of_class or {}
        self.moved: Counter[str] = Counter()
        self.moved_of_class: Counter[tuple[str, int | None]] = Counter()

    @classmethod
    def of_rows(cls, share: float, train: Mapping[int | None, int]) -> Parts:
        """For changes of the rows themselves: this share of all, and of each class. train: rows of each label."""
        return cls(share * sum(train.values()), {label: share * count for label, count in train.items()})

    def take(self, raters: Iterable[str], label: int | None = None) -> bool:
        """One row, shared equally among as many of these raters as have room; False where nobody has.

        Whoever is at the limit is passed over: else one who likes everything could keep all others from being heard.
        """
        by_room = sorted(set(raters), key=lambda rater: (-self.room(rater, label), rater))
        for count in range(len(by_room), 0, -1):
            sharing = by_room[:count]
            if self.room(sharing[-1], label) >= 1 / count - ROUNDING:
                for rater in sharing:
                    self.moved[rater] += 1 / count  # type: ignore[assignment]
                    self.moved_of_class[rater, label] += 1 / count  # type: ignore[assignment]
                return True
        return False

    def room(self, rater: str, label: int | None) -> float:
        """Rows of this label that the rater can still move."""
        left = self.most - self.moved[rater]
        if label not in self.of_class:
            return left
        return min(left, self.of_class[label] - self.moved_of_class[rater, label])
