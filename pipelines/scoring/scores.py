"""Scores of a set of generated images: every metric with its interval, and the id of the benchmark that measured it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.metrics import intervals
from pipelines.metrics.base import Comparison
from pipelines.metrics.intervals import Estimate, Interval, NotEnoughError, NothingToMeasureError


@dataclass(frozen=True)
class Scores:
    """values: by name, as in metrics.json. tables: by name and class. missing: by metric, why there is no score.
    nothing: those of them that have nothing to measure, however many images there are."""

    benchmark_id: str
    samples: int
    values: dict[str, Estimate]
    tables: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    nothing: frozenset[str] = frozenset()

    def flat(self) -> dict[str, Any]:
        """The keys of metrics.json: `precision`, `precision_low`, `precision_high`, `precision_ideal` and so on; and `fid`, as
        other libraries print it, with `fid_unbiased` between `fid_low` and `fid_high`."""
        found: dict[str, Any] = {}
        declared = catalogue.scores()
        for name, estimate in self.values.items():
            low, high = estimate.interval
            if declared[name].unbiased_name:
                found |= {name: estimate.value, declared[name].unbiased_name: estimate.unbiased}
            else:
                found[name] = estimate.unbiased
            found |= {f"{name}_low": low, f"{name}_high": high}
            if estimate.ideal is not None:
                found[f"{name}_ideal"] = estimate.ideal
        if self.missing:
            found["not_enough"] = self.missing
        return {**found, "benchmark_id": self.benchmark_id, "samples": self.samples}


def measure(comparison: Comparison, names: Sequence[str]) -> Scores:
    """The metrics with these names; raises GenloopError where a score is not finite."""
    found: dict[str, Any] = {}
    missing, nothing = {}, set()
    for name in names:
        try:
            found |= catalogue.get(catalogue.METRICS, name)(comparison)
        except NotEnoughError as error:
            missing[name] = str(error)
            if isinstance(error, NothingToMeasureError):
                nothing.add(name)
    values = {name: value for name, value in found.items() if isinstance(value, Estimate)}
    for name, estimate in values.items():
        if not math.isfinite(estimate.value):
            raise GenloopError(f"{name} is {estimate.value}: the generated images or their features are not sound; train again")
    tables = {name: value for name, value in found.items() if isinstance(value, dict) and value}
    return Scores(comparison.benchmark.id, len(comparison.generated), values, tables, missing, frozenset(nothing))


def difference(a: Scores, b: Scores, name: str, level: float = intervals.LEVEL) -> tuple[float, Interval]:
    """By how much `name` of `a` is above that of `b`, and the interval of the difference at `level`.

    Raises InputError where they were measured by different benchmarks, or one has no such score.
    """
    if a.benchmark_id != b.benchmark_id:
        raise InputError(
            f"scores of benchmark {a.benchmark_id} and of benchmark {b.benchmark_id} cannot be compared; "
            "score both by the same one"
        )
    for scores in (a, b):
        if name not in scores.values:
            raise InputError(f"no score {name!r} on both sides; there are: {', '.join(sorted(scores.values))}")
    return intervals.difference(a.values[name], b.values[name], level)


def write(path: Path, scores: Scores) -> None:
    """All that `difference` needs, as an npz file."""
    arrays: dict[str, Any] = {"benchmark_id": scores.benchmark_id, "samples": scores.samples}
    for name, e in scores.values.items():
        arrays |= {f"{name}/drawn": e.generated, f"{name}/real": e.real, f"{name}/pairs": e.pairs}
        unknown = [math.nan if number is None else number for number in (e.ideal, e.least_spread)]
        arrays[f"{name}/score"] = [e.value, e.corrected, e.least, e.most, *unknown]
    files.write_arrays(path, **arrays)


def read(path: Path) -> Scores:
    """Raises InputError where `path` holds no scores."""
    with (
        files.content_errors(path, "scores", "`evaluate` writes them (`genloop run`)"),
        np.load(path, allow_pickle=False) as stored,
    ):
        values = {}
        for name in (key.removesuffix("/score") for key in stored if key.endswith("/score")):
            value, corrected, least, most, *others = map(float, stored[f"{name}/score"])  # older ones have no others
            generated, real, pairs = (stored[f"{name}/{part}"] for part in ("drawn", "real", "pairs"))
            known = [number if math.isfinite(number) else None for number in others]
            values[name] = Estimate(value, corrected, generated, real, pairs, least, most, *known)
        return Scores(str(stored["benchmark_id"]), int(stored["samples"]), values)
