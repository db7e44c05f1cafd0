"""exact_copy: rows whose pixels are those of an earlier row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipelines.core.lazy import np
from pipelines.rules.base import CopyRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.core.facts import Facts


class ExactCopy(CopyRule):
    rule: Literal["exact_copy"]

    def pairs(self, facts: Facts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order = np.argsort(facts["id"], kind="stable")
        equal = facts["id"][order[1:]] == facts["id"][order[:-1]]
        yield order[:-1][equal], order[1:][equal]
