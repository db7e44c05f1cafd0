"""data/noise.json: how far scores move when nothing but the seed of a training changes.

{"benchmark_id": "…", "samples": 1500, "trainings": [{"seed": 1, "scores": {"fid": 12.3, "recall": 0.61, …}}, …]}

Their samples are kept beside it, in logs/noise: what people like is known later, and changes, and then scores that depend on it
are measured anew without any training.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.special import stdtrit

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import generated, scores
from pipelines.scoring.generated import GeneratedSamples

LEVEL = 0.95  # so often a retraining is better than another one by the floor or less
OF_TASTE = ("approval", "fid_preferred")  # metrics whose scores depend on what people like


@dataclass(frozen=True)
class NoiseFloor:
    """benchmark_id: by which it was scored. trainings: the scores of each, by name. seeds: of each training."""

    benchmark_id: str
    trainings: list[dict[str, float]]
    seeds: tuple[int, ...] = ()

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
        seeds = tuple(int(training["seed"]) for training in found["trainings"])
        return NoiseFloor(str(found["benchmark_id"]), trainings, seeds)


def keep_samples(project: Project, by_seed: Mapping[int, Path]) -> None:
    """Keep what `evaluate` has generated with each training, in place of what was kept before."""
    with files.replacement(samples_folder(project)) as folder:
        for seed, path in by_seed.items():
            shutil.copyfile(path, folder / f"{seed}.npz")


def samples_folder(project: Project) -> Path:
    return project.logs / "noise"


def read_samples(project: Project, floor: NoiseFloor) -> list[GeneratedSamples] | None:
    """The samples of all its trainings; None where they are not kept, as in a project that was cloned."""
    places = [samples_folder(project) / f"{seed}.npz" for seed in floor.seeds]
    try:
        found = [generated.read(place) for place in places]
    except InputError:
        return None
    return found if all(samples.benchmark_id == floor.benchmark_id for samples in found) else None


def by_present_taste(project: Project, floor: NoiseFloor, pinned: Benchmark, metrics: Iterable[str]) -> NoiseFloor:
    """The floor with scores by what people like now, of those `metrics` that depend on it; unchanged without kept samples."""
    wanted = [name for name in OF_TASTE if name in set(metrics)]
    kept = read_samples(project, floor) if wanted else None
    if kept is None:
        return floor
    trainings = []
    for before, samples in zip(floor.trainings, kept, strict=True):
        found = scores.measure(generated.comparison(samples, pinned, project.approval), wanted)
        trainings.append(before | {name: estimate.corrected for name, estimate in found.values.items()})
    return replace(floor, trainings=trainings)
