"""What a set of drawn images scored: every metric with its interval, under the id of the benchmark that it was measured by."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.metrics import intervals
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate, Interval, NotEnoughError

# The metric that yields a score, where that has another name.
YIELDED_BY = {
    "coverage": "density_coverage",
    "density": "density_coverage",
    "fid_floor": "fid",
    "precision": "precision_recall",
    "recall": "precision_recall",
}


@dataclass(frozen=True)
class Scores:
    """values: by name, as in metrics.json. tables: by name and class. missing: by metric, why there is no score."""

    benchmark_id: str
    samples: int
    values: dict[str, Estimate]
    tables: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """The keys of metrics.json: `fid`, `fid_low`, `fid_high` and so on."""
        found: dict[str, Any] = {}
        for name, estimate in self.values.items():
            low, high = estimate.interval
            found |= {name: estimate.value, f"{name}_low": low, f"{name}_high": high}
        if self.missing:
            found["not_enough"] = self.missing
        return {**found, "benchmark_id": self.benchmark_id, "samples": self.samples}


def measure(trial: Trial, names: Sequence[str]) -> Scores:
    """The metrics with these names.

    Raises:
        GenloopError: a score is not finite.
    """
    found: dict[str, Any] = {}
    missing = {}
    for name in names:
        try:
            found |= catalogue.get(catalogue.METRICS, name)(trial)
        except NotEnoughError as error:
            missing[name] = str(error)
    values = {name: value for name, value in found.items() if isinstance(value, Estimate)}
    for name, estimate in values.items():
        if not math.isfinite(estimate.value):
            raise GenloopError(f"{name} is {estimate.value}: the drawn images or their features are not sound; train again")
    tables = {name: value for name, value in found.items() if isinstance(value, dict) and value}
    return Scores(trial.benchmark.id, len(trial.fake), values, tables, missing)


def difference(a: Scores, b: Scores, name: str) -> tuple[float, Interval]:
    """By how much `name` of `a` is above that of `b`, and the interval of the difference.

    Raises:
        InputError: they were measured by different benchmarks, or one has no such score.
    """
    if a.benchmark_id != b.benchmark_id:
        raise InputError(
            f"scores of benchmark {a.benchmark_id} and of benchmark {b.benchmark_id} cannot be compared; "
            "score both by the same one"
        )
    for scores in (a, b):
        if name not in scores.values:
            raise InputError(f"no score {name!r} on both sides; there are: {', '.join(sorted(scores.values))}")
    return intervals.difference(a.values[name], b.values[name])


def write(path: Path, scores: Scores) -> None:
    """All that `difference` needs, as an npz file."""
    arrays: dict[str, Any] = {"benchmark_id": scores.benchmark_id, "samples": scores.samples}
    for name, e in scores.values.items():
        arrays |= {f"{name}/drawn": e.drawn, f"{name}/real": e.real, f"{name}/pairs": e.pairs}
        arrays[f"{name}/score"] = [e.value, e.corrected, e.least, e.most]
    content = io.BytesIO()
    np.savez(content, **arrays)
    files.write(path, content.getvalue())


def read(path: Path) -> Scores:
    """Raises InputError where `path` holds no scores."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {}
            for name in (key.removesuffix("/score") for key in stored if key.endswith("/score")):
                value, corrected, least, most = map(float, stored[f"{name}/score"])
                drawn, real, pairs = (stored[f"{name}/{part}"] for part in ("drawn", "real", "pairs"))
                values[name] = Estimate(value, corrected, drawn, real, pairs, least, most)
            return Scores(str(stored["benchmark_id"]), int(stored["samples"]), values)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no usable scores ({error}); `evaluate` writes them (`genloop run`)") from None
