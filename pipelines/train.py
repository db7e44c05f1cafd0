"""train: data/clean + data/curated + data/approval -> data/model. Trains the model that params name."""

from __future__ import annotations

import csv
import io
import shutil
import time
from pathlib import Path

from pipelines.core import backend, files, grids, reports, shards
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from pipelines.stage import main
from pipelines.training.result import TrainedModel


def run(project: Project, params: Params) -> None:
    train(project, params, Registry.open(project, params.registry))


def train(project: Project, params: Params, registry: Registry) -> None:
    started = time.monotonic()
    model = train_kind(project, params, registry)
    with files.replacement(project.model) as folder:
        samples = model.save(folder)
    files.write(project.reports / "training-samples.png", grids.png(samples.grid(model.classes)))
    write_history(project.reports / "training.csv", model.history)
    learned = curated.read_summary(project.curated)
    reports.write(
        project.reports,
        "train",
        {
            **model.history[-1],  # first: an external training may give its numbers any names
            "family": params.model.family,
            "preset": params.model.preset,
            "weights": model.weights,
            "weights_unit": model.unit,
            "rows": model.rows,
            "rows_unlabelled": model.unlabelled,
            "rows_from_feedback": shards.count(project.curated) if model.rows else 0,
            "folds": learned.batches if model.rows else [],
            "generation": learned.generation if model.rows else 0,
            "classes": len(model.classes),
            "batch_size": params.train.batch_size,
            "resumed_from": model.resumed_from,
            "parent_version": model.parent,
            "training_seconds": round(model.seconds, 1),
            "seconds": round(time.monotonic() - started, 1),
            **({"log": str(project.relative(model.logs))} if model.logs else {}),
            "hardware": model.hardware,
            **backend.describe(),
        },
    )
    if model.checkpoints is not None:
        shutil.rmtree(model.checkpoints, ignore_errors=True)  # done; only now, so that a kill up to here costs nothing


def train_kind(project: Project, params: Params, registry: Registry) -> TrainedModel:
    """Train by Keras in this process, or have an external model trained by its own command, without loading Keras meanwhile."""
    if params.model.manifest is not None:
        from pipelines.external import training

        return training.train(project, params, registry)
    backend.load(params.train.deterministic)
    from pipelines.training import family_training

    return family_training.train(project, params, registry)


def write_history(path: Path, history: list[dict[str, float]]) -> None:
    """A line for each preview: the curves of `dvc plots`. A value that not every line has is empty in the others."""
    text = io.StringIO()
    names = dict.fromkeys(name for line in history for name in line)
    writer = csv.DictWriter(text, fieldnames=list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    files.write(path, text.getvalue())


if __name__ == "__main__":
    main(run)
