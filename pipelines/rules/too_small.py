"""too_small: rows whose shorter side is below a number of pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipelines.core.lazy import np
from pipelines.rules.base import Rule

if TYPE_CHECKING:
    from pipelines.core.facts import Facts


class TooSmall(Rule):
    rule: Literal["too_small"]
    side: Annotated[int, Field(gt=0)] = 8

    def keep(self, facts: Facts) -> np.ndarray:
        return np.minimum(facts["width"], facts["height"]) >= self.side
