"""Comparison of a rebuild with the version: bit for bit, by the figures of reports, or by the intervals of scores."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.special import ndtri

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.models import base
from pipelines.scoring import noise_floor, scores
from pipelines.scoring.scores import Scores
from pipelines.settings.schema import Params

MatchLevel = Literal["bit-equal", "metric-equal", "different"]
LEVELS: tuple[MatchLevel, ...] = ("bit-equal", "metric-equal", "different")  # the best first

TOLERANCE = 0.01  # of a figure in a report, as a share of it
# Keys that say nothing about quality: at any depth durations, paths of logs and hashes; at the top of a report the machine.
IGNORED = frozenset({"seconds", "training_seconds", "images_per_second", "ge_load_time", "log", "resumed_from", "benchmark_id"})
MACHINE = frozenset({"device", "threads", "onednn", "versions"})

MODEL_STAGES = ("train", "evaluate")  # compared, where bits differ, by what the model scores
FITTED_STAGES = ("reference", "approval")  # they fit a model, whose bits differ from machine to machine


@dataclass(frozen=True)
class StageMatch:
    """How well a stage's outputs match the version's own. differs: outputs that do not, and how."""

    match: MatchLevel
    differs: dict[str, str] = field(default_factory=dict)


def compare_stage(copy: Project, cache: Path, stage: str, before: Mapping[str, str], now: Mapping[str, str]) -> StageMatch:
    """Data counts by its bits, what was fitted and a report by its figures; a page or a picture follows from these.

    cache: DVC's folder of objects. before, now: output -> DVC's hash.
    """
    matches: list[MatchLevel] = []
    differs: dict[str, str] = {}
    for path in sorted(before.keys() | now.keys()):
        if before.get(path) == now.get(path):
            continue
        match, how = compare_output(copy.root / path, cache, before.get(path))
        if match != "bit-equal":
            differs[path] = how
        report = is_report(copy, path)
        if path.endswith((".json", ".csv")) or not report:
            matches.append("metric-equal" if stage in FITTED_STAGES and not report else match)
    return StageMatch(worst_level(matches), differs)


def is_report(copy: Project, path: str) -> bool:
    return (copy.root / path).is_relative_to(copy.reports)


def compare_output(path: Path, cache: Path, before: str | None) -> tuple[MatchLevel, str]:
    """An output whose hash is not the one that it had before, and how it differs."""
    if before is None or not path.exists():
        return "different", "is new" if before is None else "is not made any more"
    own = object_path(cache, before)
    if not own.is_file():
        return "different", "has other content; DVC's cache lacks the old one"
    if path.is_dir():
        then = {entry["relpath"] for entry in json.loads(own.read_bytes())}
        files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
        counts = [f"{count} {name}" for name, count in (("new", len(files - then)), ("gone", len(then - files))) if count]
        return "different", f"has other files: {', '.join(counts)}" if counts else "has files with other content"
    if path.suffix in (".json", ".csv"):
        match, keys = compare_reports(path.name, own.read_bytes(), path.read_bytes())
        return match, f"differs in {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}"
    return "different", "has other content"


def object_path(cache: Path, digest: str) -> Path:
    return cache / digest[:2] / digest[2:]


def worst_level(levels: Iterable[MatchLevel]) -> MatchLevel:
    return max(levels, key=LEVELS.index, default="bit-equal")


def compare_reports(name: str, before: bytes, now: bytes) -> tuple[MatchLevel, list[str]]:
    """How well two states of a report match, and which of its figures differ."""
    found = dict(differences(parse(name, before), parse(name, now), IGNORED | MACHINE))
    if not found:
        return "bit-equal", []
    return ("metric-equal" if all(found.values()) else "different"), sorted(found)


def parse(name: str, content: bytes) -> Any:
    """The content of a JSON file, or the lines of a CSV file with numbers for figures."""
    text = content.decode("utf-8")
    if not name.endswith(".csv"):
        return json.loads(text)
    return [{key: figure(value) for key, value in line.items()} for line in csv.DictReader(io.StringIO(text))]


def figure(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def differences(before: Any, now: Any, ignored: frozenset[str], place: str = "") -> Iterator[tuple[str, bool]]:
    """Where two parsed values differ, as in "history.2.fid", and whether the two figures there are near each other.

    ignored: keys of these values themselves; those of the values in them are PASSING.
    """
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in before.keys() | now.keys() if key not in ignored]
        pairs = [(key, before.get(key), now.get(key)) for key in keys]
    elif isinstance(before, list) and isinstance(now, list):
        pairs = [(number, *pair) for number, pair in enumerate(zip_longest(before, now))]
    else:
        if before != now:  # counts and texts have no tolerance
            figures = isinstance(before, float) and isinstance(now, float)
            yield place, figures and math.isclose(before, now, rel_tol=TOLERANCE)
        return
    for key, a, b in pairs:
        yield from differences(a, b, IGNORED, f"{place}.{key}" if place else str(key))


@dataclass(frozen=True)
class WeightsMatch:
    """equal: bit for bit, all files. largest: the largest difference of two numbers; None where shapes differ."""

    equal: bool
    largest: float | None


def compare_weights(before: Path, now: Path) -> WeightsMatch:
    """Compare two folders of a model as `train` writes it."""
    names = [path.relative_to(before) for path in base.own_files(before)]
    equal = all((now / name).is_file() and files.sha256(before / name) == files.sha256(now / name) for name in names)
    return WeightsMatch(equal, 0.0 if equal else largest_difference(before, now))


def largest_difference(before: Path, now: Path) -> float | None:
    """The largest difference between the weights that the two models generate with; of an external model, of those that its
    training left in safetensors."""
    try:
        a, b = map(load_weights, (before, now))
    except (OSError, SafetensorError):
        return None
    if {name: tensor.shape for name, tensor in a.items()} != {name: tensor.shape for name, tensor in b.items()}:
        return None
    return max((float(np.abs(a[name].astype(np.float64) - b[name]).max(initial=0.0)) for name in a), default=0.0)


def load_weights(folder: Path) -> dict[str, np.ndarray]:
    """The tensors of a model, without those of its training's state. Raises OSError where it has none in safetensors."""
    if (folder / base.WEIGHTS).is_file():
        return load_file(folder / base.WEIGHTS)
    found: dict[str, np.ndarray] = {}
    for path in sorted((folder / "weights").rglob("*.safetensors")):
        found |= {f"{path.relative_to(folder)}/{name}": tensor for name, tensor in load_file(path).items()}
    if not found:
        raise FileNotFoundError(folder)
    return found


@dataclass(frozen=True)
class ScoreMatch:
    """difference: rebuilt - original, with its 95 % interval. counts: the least difference that matters. equal: whether the
    true difference may be smaller than that, by an interval that is wider where there are many scores."""

    difference: float
    low: float
    high: float
    counts: float
    equal: bool


def match_scores(before: Scores, now: Scores, counts: Callable[[str], float]) -> dict[str, ScoreMatch]:
    """Each score that both have. counts: the least difference of a score that matters. InputError: two benchmarks."""
    both = sorted(before.values.keys() & now.values.keys())
    # Of many intervals that hold the truth in 95 of 100 cases some do not: Bonferroni's correction, for all of them together.
    wider = float(ndtri(1 - 0.025 / max(len(both), 1)) / ndtri(0.975))
    found = {}
    for name in both:
        least = counts(name)
        difference, (low, high) = scores.difference(now, before, name)
        reach = wider * (high - low) / 2
        found[name] = ScoreMatch(difference, low, high, least, bool(difference == 0 or abs(difference) <= reach + least))
    return found


def compare_scores(before: Path | None, now: Path, least: Callable[[str], float]) -> dict[str, ScoreMatch]:
    """The scores in two files of estimates, where the version has kept its own and the benchmark is the same."""
    if before is None:
        return {}
    try:
        return match_scores(scores.read(before), scores.read(now), least)
    except InputError:
        return {}


def least_difference(project: Project, params: Params) -> Callable[[str], float]:
    """The least difference of a score that counts: the margin of the gate's rule, or the noise floor, if that is larger."""
    floor = noise_floor.read(project.noise_floor)
    margins = {rule.metric: rule.margin for rule in params.promotion.single_rules if rule.kind in ("better", "not_worse")}
    return lambda name: max(margins.get(name, 0.0), (floor and floor.floor(name)) or 0.0)


def apply_scores(
    stages: Mapping[str, StageMatch], weights: WeightsMatch, compared: Mapping[str, ScoreMatch]
) -> dict[str, StageMatch]:
    """The same stages; where weights differ, `train` and `evaluate` match as well as the scores do."""
    if weights.equal:
        return dict(stages)
    match: MatchLevel = "metric-equal" if compared and all(score.equal for score in compared.values()) else "different"
    return {name: StageMatch(match, stage.differs) if name in MODEL_STAGES else stage for name, stage in stages.items()}
