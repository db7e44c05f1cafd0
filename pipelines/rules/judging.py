"""Several rules, one after the other: which of them is the first that refuses a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from pipelines.core.facts import Facts
    from pipelines.rules.base import Rule

KEPT = -1  # the verdict on a row that no rule refuses


def judge(measured: Facts, rules: Sequence[Rule]) -> np.ndarray:
    """(n,) int16: the place of the first rule that refuses the row, KEPT where none does."""
    import numpy as np

    verdicts = np.full(len(measured), KEPT, np.int16)
    standing = np.arange(len(measured))
    for place, rule in enumerate(rules):
        keep = rule.keep(measured)
        if not keep.all():  # else a copy of the whole table would be made for nothing
            verdicts[standing[~keep]] = place
            measured, standing = measured[keep], standing[keep]
    return verdicts
