"""train: data/clean + data/curated + data/approval -> data/model. Trains the family that params name."""

from __future__ import annotations

import csv
import inspect
import io
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from pipelines import catalogue
from pipelines.core import backend, files, grids, reports, shards
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from pipelines.stage import main

CODE = Path(__file__).resolve().parent


def run(project: Project, params: Params) -> None:
    train(project, params, Registry.open(project, params.registry))


def train(project: Project, params: Params, registry: Registry) -> None:
    started = time.monotonic()
    backend.load(params.train.deterministic)
    from pipelines.models import base
    from pipelines.training import checkpoint, dataset, fit, hardware, preview, training_run, warm_start

    family_class = catalogue.get(catalogue.MODELS, params.model.family)
    machine = hardware.choose(params.train)
    rows = dataset.read(project, params, family_class.conditional)
    spec = base.ImageSpec(params.image.size, params.image.channels, len(rows.classes))
    with machine.scope(), tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        family = base.build(family_class, spec, params.model.numbers, params.train.seed)
        folder = Path(temporary) / "champion"
        parent = fetch_parent(params, registry, folder)
        start = folder if parent is not None else None
        if start:
            warm_start.check(start, base.describe_new(family, params.model.family, rows.classes))
            print(f"train: going on from version {parent} of {registry.name}, after {warm_start.steps(start):,} steps")
        elif params.train.init == "champion":
            print(f"train: {registry.name} has no champion yet to go on from; from scratch")
        start_state = files.sha256(start / warm_start.STATE) if start else None
        key = checkpoint.key({**fixed_by(project, params), "start": start_state}, code(family_class))
        checkpoints, logs = project.checkpoints / key, project.logs / "train" / key
        checkpoint.prune(keep=checkpoints)
        start_time = time.monotonic()
        training = training_run.TrainingRun(rows, params.train, machine, checkpoints, logs, start)
        result = fit.fit(family, training)
        training_seconds = time.monotonic() - start_time

    with files.replacement(project.model) as folder:
        base.save(folder, family, params.model.family, rows.classes)
        warm_start.write(folder, result.state)
    samples = preview.generate(family, preview.labels(rows))
    files.write(project.reports / "training-samples.png", grids.png(samples.grid(rows.classes)))
    write_history(project.reports / "training.csv", result.history)
    learned = curated.read_summary(project.curated)
    reports.write(
        project.reports,
        "train",
        {
            "family": params.model.family,
            "preset": params.model.preset,
            "weights": family.count_params(),
            "rows": len(rows),
            "rows_unlabelled": rows.unlabelled,
            "rows_from_feedback": shards.count(project.curated),
            "folds": learned.batches,
            "generation": learned.generation,
            "classes": len(rows.classes),
            "batch_size": params.train.batch_size,
            "resumed_from": result.resumed_from,
            "parent_version": parent,
            **result.history[-1],
            "training_seconds": round(training_seconds, 1),
            "seconds": round(time.monotonic() - started, 1),
            "log": str(project.relative(logs)),
            "hardware": machine.as_json(),
            **backend.describe(),
        },
    )
    shutil.rmtree(checkpoints, ignore_errors=True)  # done; only now, so that a kill up to here costs nothing


def fetch_parent(params: Params, registry: Registry, folder: Path) -> int | None:
    """Copy the version that `train.init` names into `folder`; its number, None for a training from scratch.

    Raises:
        InputError: there is no version of that number.
    """
    init = params.train.init
    if init == "scratch":
        return None
    return registry.fetch(folder, None if init == "champion" else registry.version(init).number)


def fixed_by(project: Project, params: Params) -> dict[str, Any]:
    """All that the course of a training depends on besides code."""
    from pipelines.training import dataset

    blocks = params.model_dump(include={"model", "train", "image"})
    return {**blocks, "data": dataset.content(project), "on": backend.describe()}


def code(family: type) -> list[Path]:
    """The files that weights depend on: the family's own and those that all families use, not the other families'."""
    families = {catalogue.locate(catalogue.MODELS, name)[0].rpartition(".")[2] for name in catalogue.MODELS}
    shared = [path for path in (CODE / "models").glob("*.py") if path.stem not in families]
    return sorted([Path(inspect.getfile(family)), *shared, CODE / "train.py", *(CODE / "training").glob("*.py")])


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """A line for each preview: the curves of `dvc plots`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    files.write(path, text.getvalue())


if __name__ == "__main__":
    main(run)
