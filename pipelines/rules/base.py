"""The contract of a rule: which rows `clean` keeps, judged from the facts that `validate` measured; and who refuses first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from pipelines.core.lazy import np

if TYPE_CHECKING:
    from pipelines.core.facts import Facts

NOT_REFUSED = -1  # in place of the number of a rule


class Rule(BaseModel):
    """A rule's settings are its fields. Modules of rules import nothing heavy at the top: params.yaml is checked with them."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    rule: str

    def keep(self, facts: Facts) -> np.ndarray:
        """(n,) bool, False where a row is to be refused. `facts` holds only rows that earlier rules kept."""
        raise NotImplementedError


class CopyRule(Rule):
    """A rule that refuses copies of earlier rows."""

    def pairs(self, facts: Facts) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows that are copies of each other, as blocks of two index arrays. Every copy is in a pair with an earlier row."""
        raise NotImplementedError

    def keep(self, facts: Facts) -> np.ndarray:
        keep = np.ones(len(facts), bool)
        for one, other in self.pairs(facts):
            keep[np.maximum(one, other)] = False
        return keep


def first_refusals(facts: Facts, rules: Sequence[Rule]) -> np.ndarray:
    """(n,) int16: the number of the first rule that refuses each row, NOT_REFUSED where none does."""
    refusals = np.full(len(facts), NOT_REFUSED, np.int16)
    rows = np.arange(len(facts))  # that no rule has refused yet
    for number, rule in enumerate(rules):
        keep = rule.keep(facts)
        if not keep.all():  # else a copy of the whole table would be made for nothing
            refusals[rows[~keep]] = number
            facts, rows = facts[keep], rows[keep]
    return refusals
