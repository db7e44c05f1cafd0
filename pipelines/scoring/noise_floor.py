"""data/noise.json: how far scores move when nothing but the seed of a training changes.

{"benchmark_id": "…", "samples": 1500, "trainings": [{"seed": 1, "scores": {"fid": 12.3, "recall": 0.61, …}}, …]}
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from pipelines.core import files

LEVEL = 0.95  # so often a retraining is better than another one by the floor or less


@dataclass(frozen=True)
class NoiseFloor:
    """benchmark_id: by which it was scored. trainings: the scores of each, by name."""

    benchmark_id: str
    trainings: list[dict[str, float]]

    def floor(self, score: str, level: float = LEVEL) -> float | None:
        """By how much a training is better than another that differs in its seed alone, in a share `level` of cases at most.

        The difference of two has √2 times the spread of one, and a spread known from few is widened by Student's t. None where
        too few of them have the score, as those that were measured before it could be had.
        """
        values = [scores[score] for scores in self.trainings if math.isfinite(scores.get(score, math.nan))]
        if len(values) < 2:
            return None
        return float(stdtrit(len(values) - 1, level) * np.sqrt(2) * np.std(values, ddof=1))


def read(path: Path) -> NoiseFloor | None:
    """None where it has not been measured; raises InputError where the file is no such measurement."""
    if not path.exists():
        return None
    with files.content_errors(path, "noise floor", "measure it again (`dvc repro --force noise/dvc.yaml`)"):
        found = json.loads(path.read_text(encoding="utf-8"))
        trainings = [{name: float(value) for name, value in training["scores"].items()} for training in found["trainings"]]
        return NoiseFloor(str(found["benchmark_id"]), trainings)
