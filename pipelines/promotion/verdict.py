"""What the gate said of a challenger, in words and as JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from pipelines.promotion.rules import Judged, Word

KEYS = ("metric", "kind", "margin", "difference", "low", "high", "verdict")  # of a rule in JSON: other programs rely on them


@dataclass(frozen=True)
class Verdict:
    """champion: None where there is none yet. samples: drawn with each of the two. noise: trainings that the noise floor was
    measured on, 0 where there is none."""

    verdict: Word
    champion: int | None
    challenger: int
    benchmark_id: str
    samples: int
    rules: list[Judged]
    noise: int

    def as_json(self) -> dict[str, Any]:
        """Numbers are finite or None."""
        return {
            "verdict": self.verdict,
            "champion": self.champion,
            "challenger": self.challenger,
            "benchmark_id": self.benchmark_id,
            "rules": [{key: finite(getattr(rule, key)) for key in KEYS} for rule in self.rules],
            "samples": self.samples,
            "noise": self.noise,
        }


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
