"""The training of a family of ours, by Keras in this process."""

from __future__ import annotations

import inspect
import tempfile
import time
from pathlib import Path
from typing import Any

from pipelines import catalogue
from pipelines.core import backend, files
from pipelines.core.project import Project
from pipelines.models import base
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from pipelines.training import checkpoint_folders, dataset, fit, hardware, parent, preview, training_run, warm_start
from pipelines.training.preview import PreviewSamples
from pipelines.training.result import TrainedModel

CODE = Path(__file__).resolve().parents[1]
SAMPLING = ("external", "generator", "serve_sampler", "worker")  # modules beside the families that no training uses


def train(project: Project, params: Params, registry: Registry) -> TrainedModel:
    """Train the family that params name, on the rows of data/.

    Raises:
        InputError: rows, settings or the version to go on from cannot be used.
        GenloopError: the training diverged or collapsed.
    """
    family_class = catalogue.get(catalogue.MODELS, params.model.family)
    machine = hardware.choose(params.train)
    rows = dataset.read(project, params, family_class.conditional)
    spec = base.ImageSpec(params.image.size, params.image.channels, len(rows.classes))
    with machine.scope(), tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        family = base.build(family_class, spec, params.model.numbers, params.train.seed)
        folder = Path(temporary) / "champion"
        version = parent.fetch(params, registry, folder)
        start = folder if version is not None else None
        if start:
            warm_start.check(start, base.describe_new(family, params.model.family, rows.classes))
            print(f"train: going on from version {version} of {registry.name}, after {warm_start.steps(start):,} steps")
        start_state = files.sha256(start / warm_start.STATE) if start else None
        key = checkpoint_folders.key({**fixed_by(project, params), "start": start_state}, code(family_class))
        checkpoints, logs = project.checkpoints / key, project.logs / "train" / key
        checkpoint_folders.prune(keep=checkpoints)
        began = time.monotonic()
        training = training_run.TrainingRun(rows, params.train, machine, checkpoints, logs, start)
        result = fit.fit(family, training)
        seconds = time.monotonic() - began

    def save(folder: Path) -> PreviewSamples:
        base.save(folder, family, params.model.family, rows.classes)
        warm_start.write(folder, result.state)
        return preview.generate(family, preview.labels(rows))

    return TrainedModel(
        save=save,
        weights=family.count_params(),
        unit="numbers",
        history=result.history,
        resumed_from=result.resumed_from,
        rows=len(rows),
        unlabelled=rows.unlabelled,
        classes=rows.classes,
        parent=version,
        seconds=seconds,
        checkpoints=checkpoints,
        logs=logs,
        hardware=machine.as_json(),
    )


def fixed_by(project: Project, params: Params) -> dict[str, Any]:
    """All that the course of a training depends on besides code."""
    blocks = params.model_dump(include={"model": {"family", "preset", "change"}, "train": True, "image": True})
    return {**blocks, "data": dataset.content(project), "on": backend.describe()}


def code(family: type) -> list[Path]:
    """The files that weights depend on: the family's own and those that all families use, not the other families'."""
    families = {catalogue.locate(catalogue.MODELS, name)[0].rpartition(".")[2] for name in catalogue.MODELS}
    shared = [path for path in (CODE / "models").glob("*.py") if path.stem not in families | {*SAMPLING}]
    return sorted([Path(inspect.getfile(family)), *shared, *(CODE / "training").glob("*.py")])
