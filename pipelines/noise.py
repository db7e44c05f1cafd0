"""noise: data/reference + the configuration -> data/noise.json. How far scores move when only the seed of the training changes.

Trains and scores the configuration `promotion.noise` times more, each time with another seed, in projects of their own that
link to the data of this one. This stage is not in the graph of every run; noise/dvc.yaml is its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.processes import die_with_parent
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.external import content
from pipelines.scoring import generated, noise_floor, readings, scores
from pipelines.scoring.scores import Scores
from pipelines.settings.load import load_params, update_params
from pipelines.settings.schema import Params
from pipelines.stage import main

CODE = Path(__file__).resolve().parent
FIRST_SEED = 1_000_000  # far from the seeds that people choose

RunStage = Callable[[Project, str], int]  # a stage by name -> its exit code


def run(project: Project, params: Params) -> None:
    measure(project, params, run_stage)


def measure(project: Project, params: Params, run_stage: RunStage) -> None:
    trainings = params.promotion.noise
    if not trainings:
        raise InputError("promotion.noise is 0, so there is nothing to measure; set it to the number of trainings, 4 say")
    if not params.model.trains:
        raise InputError(
            f"{params.model.title} is only a sampler (`train: null`): no training has a seed that could move scores, so there "
            "is nothing to measure; set promotion.noise to 0"
        )
    # Among the checkpoints, where a run that was cut off finds it again, and `train` removes it if no run comes back to it.
    folder = project.checkpoints / f"noise-{key(project, params)}"
    by_seed: dict[int, Scores] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + 2 * trainings):
        trial = seed_project(project, folder / f"seed-{seed}")
        if len(by_seed) < trainings and train_and_evaluate(project, trial, seed, run_stage):
            by_seed[seed] = scores.read(trial.reports / "estimates.npz")
            of_seed = readings.read(by_seed[seed].flat())
            values = ", ".join(f"{readings.unbiased_key(name)} {reading.value_text}" for name, reading in of_seed.items())
            print(f"noise: seed {seed}, training {len(by_seed)} of {trainings}: {values}")
    if len(by_seed) < trainings:
        raise GenloopError(
            f"of {2 * trainings} trainings with other seeds {len(by_seed)} came to an end, expected {trainings}; the reasons "
            "of the others are above. Try fewer train.steps or another model.preset, or do without: promotion.noise: 0"
        )
    trials = {seed: seed_project(project, folder / f"seed-{seed}") for seed in by_seed}
    noise_floor.keep_samples(project, {seed: trial.reports / generated.NAME for seed, trial in trials.items()})
    write(project.noise_floor, by_seed)
    shutil.rmtree(folder, ignore_errors=True)  # done; only now, so that a kill up to here costs little


def inputs(project: Project) -> tuple[Path, ...]:
    """The data that trainings and their scores depend on."""
    return project.clean, project.curated, project.approval, project.reference


def seed_project(project: Project, folder: Path) -> Project:
    """A project in `folder` with the registry of this one, for a training that goes on from one of its versions."""
    variables = {"PYTHONPATH": str(CODE.parent), "MLFLOW_TRACKING_URI": project.tracking_uri}
    return replace(project, root=folder).with_variables(variables)


def train_and_evaluate(project: Project, trial: Project, seed: int, run_stage: RunStage) -> bool:
    """Whether the project `trial` now has a model trained with `seed`, and its scores; some trainings fail.

    Raises:
        InputError: a stage cannot use params or data; it could not with another seed either.
    """
    if (trial.reports / "metrics.json").is_file():  # the last file that `evaluate` writes
        return True
    prepare(project, trial, seed)
    for name in ("train", "evaluate"):
        code = run_stage(trial, name)
        if code == InputError.exit_code:
            raise InputError(f"{name} cannot use its input, for the reason above")
        if code:
            say(f"noise: {name} with seed {seed} failed ({code}); another seed takes its place")
            return False
    return True


def run_stage(project: Project, name: str) -> int:
    """Run a stage in a process of its own; its exit code. What it prints is kept in its folder, errors are shown."""
    begin = partial(die_with_parent, os.getpid())  # a stage does so itself, but only when it has loaded what it needs
    command = [sys.executable, "-m", f"pipelines.{name}"]
    environment = dict(project.environment)
    with (project.root / f"{name}.log").open("w", encoding="utf-8") as output:  # a screenful for each training
        done = subprocess.run(command, cwd=project.root, env=environment, preexec_fn=begin, stdout=output, check=False)
    return done.returncode


def prepare(project: Project, trial: Project, seed: int) -> None:
    """Give `trial` the data and settings of `project`, with another seed and all metrics."""
    trial.reports.mkdir(parents=True, exist_ok=True)
    for path, link in zip((*inputs(project), project.logs), (*inputs(trial), trial.logs), strict=True):
        if not link.is_symlink():
            link.symlink_to(path)
    for path in (project.params_file, project.root / "dvc.yaml"):  # the files that make a folder a project
        shutil.copy(path, trial.root)
    metrics = f"evaluate.metrics={json.dumps(sorted(catalogue.METRICS))}"  # whatever promotion rules may ask for
    settings = [f"train.seed={seed}", metrics]
    if (model := load_params(project.params_file).model).manifest is not None:
        settings.append(f"model.external={model.folder}")  # a relative path would lead elsewhere
    update_params(trial.params_file, settings=settings)


def key(project: Project, params: Params) -> str:
    """A name for all that these trainings depend on: those of another configuration must not be found."""
    blocks = params.model_dump(mode="json", include={"image", "model", "train", "evaluate"})
    code = [path for path in sorted(CODE.rglob("*")) if path.suffix in (".py", ".html")]
    if params.model.manifest is not None:
        blocks["content"] = content.digest(params.model.folder)
    data = [path for folder in inputs(project) for path in sorted(folder.rglob("*")) if path.is_file()]
    stamps = [[path.name, files.sha256(path)] for path in (*code, *data)]
    return hashlib.sha256(json.dumps([blocks, stamps], sort_keys=True).encode()).hexdigest()[:16]


def write(file: Path, by_seed: dict[int, Scores]) -> None:
    """The scores by seed, without their bias of few rows, as the gate compares them."""
    trainings = [
        {"seed": seed, "scores": {name: estimate.corrected for name, estimate in of_seed.values.items()}}
        for seed, of_seed in by_seed.items()
    ]
    one = next(iter(by_seed.values()))
    content = {"benchmark_id": one.benchmark_id, "samples": one.samples, "trainings": trainings}
    files.write(file, json.dumps(content, indent=2, allow_nan=False) + "\n")


if __name__ == "__main__":
    main(run)
