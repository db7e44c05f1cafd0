"""aspect_ratio: rows far from square, of which a crop would lose most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from pipelines.core.lazy import np
from pipelines.rules.base import Rule

if TYPE_CHECKING:
    from pipelines.core.facts import Facts


class AspectRatio(Rule):
    """Refuses a longer side over `most` times the shorter side."""

    rule: Literal["aspect_ratio"]
    most: Annotated[float, Field(ge=1)] = 4.0

    def keep(self, facts: Facts) -> np.ndarray:
        width, height = facts["width"], facts["height"]
        return np.maximum(width, height) <= self.most * np.minimum(width, height)
