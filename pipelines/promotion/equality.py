"""How alike what was made again is to what was there: bit for bit, by its figures, or not."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file
from scipy.special import ndtri

from pipelines.registry.client import flat
from pipelines.scoring import scores
from pipelines.scoring.scores import Scores

Word = Literal["bit-equal", "metric-equal", "different"]
WORDS: tuple[Word, ...] = ("bit-equal", "metric-equal", "different")  # the best first

TOLERANCE = 0.01  # of a figure in a report, as a share of it
# How long something took, where it was logged, what it ran on, and a hash of bits: they say nothing of how good the result is.
ASIDE = re.compile(
    r"(^|[._])(seconds|images_per_second|training_seconds|ge_load_time|log|resumed_from|benchmark_id)$|^(device|threads|onednn|versions)\b"
)


def worst(words: Iterable[Word]) -> Word:
    return max(words, key=WORDS.index, default="bit-equal")


def reports(name: str, before: bytes, now: bytes) -> tuple[Word, list[str]]:
    """Two states of a report of that name; and which of its figures are not the same."""
    then, again = (figures(name, content) for content in (before, now))
    apart = [key for key in sorted(then.keys() | again.keys()) if then.get(key) != again.get(key)]
    if not apart:
        return "bit-equal", []
    return ("metric-equal" if all(near(then.get(key), again.get(key)) for key in apart) else "different"), apart


def figures(name: str, content: bytes) -> dict[str, Any]:
    """What a JSON or a CSV file says, flat, what stands aside left out."""
    text = content.decode("utf-8")
    if name.endswith(".csv"):
        lines = [{key: figure(value) for key, value in line.items()} for line in csv.DictReader(io.StringIO(text))]
        return {key: value for key, value in flat(lines).items() if not ASIDE.search(key)}
    return {key: value for key, value in flat(json.loads(text)).items() if not ASIDE.search(key)}


def figure(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def near(a: Any, b: Any) -> bool:
    """Counts and words have no tolerance."""
    return isinstance(a, float) and isinstance(b, float) and math.isclose(a, b, rel_tol=TOLERANCE)


@dataclass(frozen=True)
class Weights:
    """equal: bit for bit, all files. largest: the largest difference of two numbers; None where they are of other shapes."""

    equal: bool
    largest: float | None


def weights(before: Path, now: Path) -> Weights:
    """Of two folders of a model as `train` writes it."""
    names = sorted(path.name for path in before.iterdir() if path.is_file())
    equal = all((now / name).is_file() and (before / name).read_bytes() == (now / name).read_bytes() for name in names)
    return Weights(equal, 0.0 if equal else largest(before, now))


def largest(before: Path, now: Path) -> float | None:
    """Of the weights that the model draws with."""
    try:
        a, b = (load_file(folder / "weights.safetensors") for folder in (before, now))
    except (OSError, SafetensorError):
        return None
    if {name: tensor.shape for name, tensor in a.items()} != {name: tensor.shape for name, tensor in b.items()}:
        return None
    return max((float(np.abs(a[name].astype(np.float64) - b[name]).max(initial=0.0)) for name in a), default=0.0)


@dataclass(frozen=True)
class Score:
    """difference: made again - as it was, with its 95 % interval. counts: the least difference that does. equal: whether it may
    be none that counts, by an interval that is wider where there are many scores."""

    difference: float
    low: float
    high: float
    counts: float
    equal: bool


def compare(before: Scores, now: Scores, counts: Callable[[str], float]) -> dict[str, Score]:
    """Each score that both have. counts: the least difference of a score that does.

    Raises:
        InputError: they are of two benchmarks.
    """
    both = sorted(before.values.keys() & now.values.keys())
    # Of many intervals that hold the truth in 95 of 100 cases some do not: Bonferroni's correction, for all of them together.
    wider = float(ndtri(1 - 0.025 / max(len(both), 1)) / ndtri(0.975))
    found = {}
    for name in both:
        least = counts(name)
        difference, (low, high) = scores.difference(now, before, name)
        reach = wider * (high - low) / 2
        found[name] = Score(difference, low, high, least, bool(difference == 0 or abs(difference) <= reach + least))
    return found
