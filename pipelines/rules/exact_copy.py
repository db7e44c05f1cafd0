"""exact_copy: rows whose pixels are those of an earlier row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipelines.core.lazy import np
from pipelines.rules.base import Rule

if TYPE_CHECKING:
    from pipelines.core.facts import Facts


class ExactCopy(Rule):
    rule: Literal["exact_copy"]

    def keep(self, facts: Facts) -> np.ndarray:
        _, first = np.unique(facts["id"], return_index=True)
        keep = np.zeros(len(facts), bool)
        keep[first] = True
        return keep
