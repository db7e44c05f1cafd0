"""Drift: how far images that came are from the reference rows, beside what is chance, and whether classes are shared alike.

The distance is the metric `fid` without its bias of few rows, with its interval: images that came are compared with the
held-out rows of the benchmark as a model's images are. Reference rows among themselves say what is normal: as many of them,
drawn at random, are no further from the others than `normal` in 39 of 40 cases. So there is drift where the whole interval lies
above that.

Too few rows say nothing of a covariance: twice as many are needed as a feature has numbers. With fewer, the distance of rows of
one distribution is off by more than its interval says, because terms of a higher order than 1/n count.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Literal

from pipelines.core import files
from pipelines.core.lazy import np
from pipelines.core.numbers import three_digits
from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.metrics import fid
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures
from pipelines.metrics.intervals import LEVEL, NotEnoughError

DriftKind = Literal["upload", "ingest"]
NAMES: dict[DriftKind, str] = {"upload": "uploads", "ingest": "newly ingested rows"}
ROWS_PER_FEATURE = 2
DRAWS = 2_000  # of labels at random, for what is normal of shares


@dataclass(frozen=True)
class Drift:
    """Of images of one kind.

    rows: how many there are. compared: of how many the features were. needed: so many, at least. waiting: rows that came since,
    and are too few to be compared. why: the reason why there is no distance; empty where there is one.
    distance, low, high, normal: see above. balance: share of the rarest class times the number of classes, 1 where all have as
    many. shift: total variation distance of the shares of classes to the reference's, 0 to 1; shift_normal: as many labels
    drawn from the reference's shares are no further from them in 39 of 40 cases. None without classes.
    at: when. identity: of what was compared by what, so that nothing is computed twice.
    """

    rows: int
    compared: int
    needed: int
    why: str = ""
    distance: float | None = None
    low: float | None = None
    high: float | None = None
    normal: float | None = None
    balance: float | None = None
    shift: float | None = None
    shift_normal: float | None = None
    waiting: int = 0
    at: str = ""
    identity: str = ""

    @property
    def present(self) -> bool:
        """Whether there surely is drift."""
        return self.low is not None and self.normal is not None and self.low > self.normal

    @property
    def shifted(self) -> bool:
        """Whether classes are shared otherwise than among the reference rows, beyond chance."""
        return self.shift is not None and self.shift_normal is not None and self.shift > self.shift_normal


@dataclass(frozen=True)
class DriftReport:
    """at: when it was made. benchmark_id: whose extractor and rows it goes by. inputs: a fingerprint of what it looks at."""

    at: str
    benchmark_id: str
    inputs: str
    kinds: dict[DriftKind, Drift] = field(default_factory=dict)


def report_file(project: Project) -> Path:
    return project.logs / "measurements" / "drift.json"


def write(project: Project, report: DriftReport) -> None:
    files.write(report_file(project), json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read(project: Project) -> DriftReport | None:
    """What was measured last; None where nothing was, or the file is of no use: it is measured again then."""
    try:
        found = json.loads(report_file(project).read_text(encoding="utf-8"))
        kinds = {name: Drift(**about) for name, about in found.pop("kinds").items() if name in NAMES}
        return DriftReport(**found, kinds=kinds)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def needed_rows(width: int) -> int:
    """How many rows are needed on either side, of features of so many numbers."""
    return ROWS_PER_FEATURE * width


def measure(counted: Drift, vectors: np.ndarray, pinned: Benchmark) -> Drift:
    """The same with the distance of features (n, d) to the benchmark's held-out rows, or the reason why there is none."""
    counted = replace(counted, compared=len(vectors))
    fewest, of_what = min((len(vectors), "rows"), (pinned.holdout.vectors.shape[0], "reference rows"))
    if fewest < counted.needed:
        return replace(counted, why=f"too few {of_what} to compare, {fewest:,} of {counted.needed:,}")
    try:
        found = fid.score(Comparison(GeneratedFeatures(Features(vectors, None), None), pinned))
    except NotEnoughError as error:
        return replace(counted, why=str(error))
    if "fid_floor" not in found:
        return replace(counted, why="too few reference rows to say what is normal")
    distance, floor = found["fid"], found["fid_floor"]
    low, high = distance.interval
    normal = floor.interval.high - floor.value
    return replace(counted, distance=distance.unbiased, low=low, high=high, normal=normal, why="")


def share_classes(counted: Drift, labels: np.ndarray, reference: np.ndarray, classes: int) -> Drift:
    """The same with how classes are shared: of `labels` (n,), and of those of the `reference` rows (m,); -1 for none."""
    counts, expected = (np.bincount(some[some >= 0], minlength=classes) for some in (labels, reference))
    if not classes or not counts.sum() or not expected.sum():
        return counted
    shares, expected = counts / counts.sum(), expected / expected.sum()
    drawn = np.random.default_rng(0).multinomial(counts.sum(), expected, DRAWS) / counts.sum()
    return replace(
        counted,
        balance=float(shares.min() * classes),
        shift=float(variation(shares, expected)),
        shift_normal=float(np.quantile(variation(drawn, expected), (1 + LEVEL) / 2)),
    )


def variation(shares: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Total variation distance of (..., classes) shares and (classes,) others."""
    return np.abs(shares - expected).sum(axis=-1) / 2


def describe(kind: DriftKind, found: Drift) -> str:
    """In a sentence."""
    name = NAMES[kind]
    if found.distance is None:
        return f"{name}: {found.why}"
    assert found.low is not None
    assert found.high is not None
    assert found.normal is not None
    distance = f"{three_digits(found.distance)} ({three_digits(found.low)} to {three_digits(found.high)})"
    normal = f"{found.compared:,} reference rows among themselves (up to {three_digits(found.normal)})"
    if found.present:
        words = f"{name} differ from the reference data: {distance}, further than {normal}"
    elif found.distance <= found.normal:
        words = f"{name} look like the reference data: {distance}, as far as {normal}"
    else:
        words = f"{name} may differ from the reference data: {distance}, and {normal}"
    return words + (f"; {found.waiting:,} more came since" if found.waiting else "")


def describe_classes(found: Drift) -> str | None:
    """How classes are shared, in words; None where that is not known."""
    if found.balance is None or found.shift is None or found.shift_normal is None:
        return None
    differ = "otherwise than" if found.shifted else "as"
    return (
        f"classes are shared {differ} in the reference data ({found.shift:.0%} would have to change, chance up to "
        f"{found.shift_normal:.0%}; balance {found.balance:.2f}, 1 is even)"
    )


def clear(kinds: Mapping[DriftKind, Drift]) -> list[DriftKind]:
    """The kinds of images that surely differ from the reference data."""
    return [kind for kind, found in kinds.items() if found.present]
