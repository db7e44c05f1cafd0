"""blank: rows of one grey, or nearly so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipelines.core.lazy import np
from pipelines.rules.base import Rule

if TYPE_CHECKING:
    from pipelines.core.facts import Facts


class Blank(Rule):
    """Refuses greys with a standard deviation below `contrast`."""

    rule: Literal["blank"]
    contrast: Annotated[float, Field(ge=0, le=128)] = 2.0

    def keep(self, facts: Facts) -> np.ndarray:
        return facts["contrast"] >= self.contrast
