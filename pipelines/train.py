"""train: data/clean + data/curated + data/approval -> data/model. Trains the family that params name, and says how it went."""

from __future__ import annotations

import csv
import io
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from pipelines import catalogue
from pipelines.core import backend, files, grids, paths, reports, shards
from pipelines.feedback import curated
from pipelines.registry import client
from pipelines.settings.schema import Params
from pipelines.stage import main

HERE = Path(__file__).resolve().parent


def run(params: Params) -> None:
    started = time.monotonic()
    backend.load(params.train.deterministic)
    from pipelines.models import base
    from pipelines.training import checkpoint, dataset, fitting, hardware, preview, warm_start

    family_class = catalogue.get(catalogue.MODELS, params.model.family)
    chosen = hardware.chosen(params.train)
    rows = dataset.read(params, family_class.conditional)
    spec = base.ImageSpec(params.image.size, params.image.channels, len(rows.classes))
    with hardware.used(chosen):
        family = base.build(family_class, spec, params.model.numbers, params.train.seed)

    with hardware.used(chosen), tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        start = Path(temporary) / "champion"
        parent = begin_with(params, start)
        if parent is not None:
            warm_start.fits(start, base.describe_new(family, params.model.family, rows.classes))
            print(f"train: going on from version {parent} of {params.registry.model}, after {warm_start.steps(start):,} steps")
        elif params.train.init == "champion":
            print(f"train: {params.registry.model} has no champion yet to go on from; from scratch")
        began_from = files.sha256(start / warm_start.STATE) if parent is not None else None
        key = checkpoint.key({**settings(params), "start": began_from}, code(params.model.family))
        checkpoints, logs = paths.CHECKPOINTS / key, paths.LOGS / "train" / key
        checkpoint.prune(keep=checkpoints)
        began = time.monotonic()
        outcome = fitting.fit(family, rows, params.train, chosen, checkpoints, logs, start if parent is not None else None)
        training = time.monotonic() - began

    with files.replacing(paths.MODEL) as folder:
        base.save(folder, family, params.model.family, rows.classes)
        warm_start.write(folder, outcome.state)
    samples = preview.draw(family, preview.shown(rows))
    files.write(paths.REPORTS / "training-samples.png", grids.png(samples.page(rows.classes)))
    write_history(outcome.history)
    learned = curated.read_about(paths.CURATED)
    reports.write(
        "train",
        {
            "family": params.model.family,
            "preset": params.model.preset,
            "weights": family.count_params(),
            "rows": len(rows),
            "rows_unlabelled": rows.unlabelled,
            "rows_from_feedback": shards.count(paths.CURATED),
            "folds": learned.batches,
            "generation": learned.generation,
            "classes": len(rows.classes),
            "batch_size": params.train.batch_size,
            "resumed_from": outcome.resumed_from,
            "parent_version": parent,
            **outcome.history[-1],
            "training_seconds": round(training, 1),
            "seconds": round(time.monotonic() - started, 1),
            "log": str(logs),
            "hardware": chosen.as_json(),
            **backend.describe(),
        },
    )
    shutil.rmtree(checkpoints, ignore_errors=True)  # done; only now, so that a kill up to here costs nothing


def begin_with(params: Params, folder: Path) -> int | None:
    """Copy what `train.init` names into `folder`; which version that is, None for a training from scratch.

    Raises:
        InputError: there is no version of that number.
    """
    init = params.train.init
    if init == "scratch":
        return None
    if init == "champion":
        return client.fetch(params, folder)
    return client.fetch(params, folder, client.version(params, init).number)


def settings(params: Params) -> dict[str, Any]:
    """All that the course of a training depends on besides code."""
    from pipelines.training import dataset

    blocks = params.model_dump(include={"model", "train", "image"})
    return {**blocks, "data": dataset.content(), "on": backend.describe()}


def code(family: str) -> list[Path]:
    """What makes the weights: the family's own file and what every family may use, not the other families."""
    shared = [path for path in (HERE / "models").glob("*.py") if path.stem not in catalogue.MODELS]
    own = HERE / "models" / f"{family}.py"
    return sorted([own, *shared, HERE / "train.py", *(HERE / "training").glob("*.py")])


def write_history(history: list[dict[str, float]]) -> None:
    """data/reports/training.csv, one line a preview: what `dvc plots` draws."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    files.write(paths.REPORTS / "training.csv", text.getvalue())


if __name__ == "__main__":
    main(run)
