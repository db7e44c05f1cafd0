"""The contract of a rule: which rows `clean` keeps, judged from the facts that `validate` measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np

    from pipelines.core.facts import Facts


class Rule(BaseModel):
    """A rule's settings are its fields. Modules of rules import nothing heavy at the top: params.yaml is checked with them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    rule: str

    def keep(self, facts: Facts) -> np.ndarray:
        """(n,) bool, False where a row is to be refused. `facts` holds only rows that earlier rules kept."""
        raise NotImplementedError
