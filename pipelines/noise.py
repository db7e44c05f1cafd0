"""noise: data/reference + the configuration -> data/noise.json. How far scores move when nothing but the training's seed does.

Trains and scores the configuration `promotion.noise` times more, each time with another seed, in folders of their own that see
the project's data through links. It is no part of the graph of every run; noise/dvc.yaml is its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

from pipelines import catalogue
from pipelines.core import files, paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.processes import die_with_parent
from pipelines.registry import client
from pipelines.scoring import scores
from pipelines.scoring.scores import Scores
from pipelines.settings.overlay import update_params
from pipelines.settings.schema import Params
from pipelines.stage import main

CODE = Path(__file__).resolve().parent
FIRST = 1_000_000  # seed, and those after it; nobody's own
SEEN = (paths.CLEAN, paths.CURATED, paths.APPROVAL, paths.REFERENCE)  # what trainings and their scores are made from
DONE, ESTIMATES = paths.REPORTS / "metrics.json", paths.REPORTS / "estimates.npz"  # of `evaluate`; it writes DONE last


def run(params: Params) -> None:
    wanted = params.promotion.noise
    if not wanted:
        raise InputError("promotion.noise is 0, so there is nothing to measure; set it to the number of trainings, 4 say")
    # Beside the checkpoints, where a run that was cut off finds it again, and `train` takes away what nobody came back to.
    folder = paths.CHECKPOINTS / f"noise-{stamp(params)}"
    found: dict[int, Scores] = {}
    for seed in range(FIRST, FIRST + 2 * wanted):
        if len(found) < wanted and trained(folder / f"seed-{seed}", seed):
            found[seed] = scores.read(folder / f"seed-{seed}" / ESTIMATES)
            print(f"noise: seed {seed}, training {len(found)} of {wanted}: {words(found[seed])}")
    if len(found) < wanted:
        raise GenloopError(
            f"of {2 * wanted} trainings with other seeds {len(found)} came to an end, expected {wanted}; what stopped the "
            "others is said above. Try fewer train.steps or another model.preset, or do without: promotion.noise: 0"
        )
    write(list(found), list(found.values()))
    shutil.rmtree(folder, ignore_errors=True)  # done; only now, so that a kill up to here costs little


def trained(folder: Path, seed: int) -> bool:
    """Whether there is now a model trained with `seed`, and scored, in `folder`; a training may come to nothing.

    Raises:
        InputError: a stage cannot use params or data; it could not with another seed either.
    """
    if (folder / DONE).is_file():
        return True
    prepare(folder, seed)
    # The registry is the project's, for a training that goes on from one of its versions.
    environment = {**os.environ, "PYTHONPATH": str(CODE.parent), "MLFLOW_TRACKING_URI": client.uri()}
    begin = partial(die_with_parent, os.getpid())  # it asks for that itself, but only when it has loaded what it needs
    for name in ("train", "evaluate"):
        print(f"noise: {name} with seed {seed}")
        command = [sys.executable, "-m", f"pipelines.{name}"]
        code = subprocess.run(command, cwd=folder, env=environment, preexec_fn=begin, check=False).returncode
        if code == InputError.exit_code:
            raise InputError(f"{name} found something unusable, for the reason above")
        if code:
            print(f"noise: {name} with seed {seed} came to nothing ({code}); another seed takes its place", file=sys.stderr)
            return False
    return True


def prepare(folder: Path, seed: int) -> None:
    """Make `folder` a project with this one's data and settings, but for the seed, and with every metric there is."""
    (folder / paths.REPORTS).mkdir(parents=True, exist_ok=True)
    for path in (*SEEN, paths.LOGS):
        if not (folder / path).is_symlink():
            (folder / path).symlink_to(path.absolute())
    for path in (paths.PARAMS, Path("dvc.yaml")):  # by these a stage knows the project's root
        shutil.copy(path, folder)
    metrics = f"evaluate.metrics={json.dumps(sorted(catalogue.METRICS))}"  # whatever rules may come to ask for
    update_params([], [f"train.seed={seed}", metrics], folder / paths.PARAMS)


def stamp(params: Params) -> str:
    """Of all that these trainings follow from: what was cut off must not be taken for something else."""
    blocks = params.model_dump(mode="json", include={"image", "model", "train", "evaluate"})
    code = [path for path in sorted(CODE.rglob("*")) if path.suffix in (".py", ".html")]
    data = [path for folder in SEEN for path in sorted(folder.rglob("*")) if path.is_file()]
    stamps = [[path.name, files.sha256(path)] for path in (*code, *data)]
    return hashlib.sha256(json.dumps([blocks, stamps], sort_keys=True).encode()).hexdigest()[:16]


def write(seeds: list[int], found: list[Scores]) -> None:
    """The scores without their bias of few rows, as the gate compares them."""
    trainings = [
        {"seed": seed, "scores": {name: estimate.corrected for name, estimate in of.values.items()}}
        for seed, of in zip(seeds, found, strict=True)
    ]
    content = {"benchmark_id": found[0].benchmark_id, "samples": found[0].samples, "trainings": trainings}
    files.write(paths.NOISE, json.dumps(content, indent=2, allow_nan=False) + "\n")


def words(found: Scores) -> str:
    return ", ".join(f"{name} {estimate.value:.4g}" for name, estimate in found.values.items())


if __name__ == "__main__":
    main(run)
