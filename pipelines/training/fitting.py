"""A family trained on a data set, from the beginning or from its newest checkpoint."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from pipelines.core import backend
from pipelines.core.progress import Progress
from pipelines.models import base
from pipelines.models.augment import Augmentation
from pipelines.settings.schema import Train
from pipelines.training import checkpoint, collapse, preview, warm_start
from pipelines.training.dataset import Dataset
from pipelines.training.feeding import Batches
from pipelines.training.hardware import Hardware
from pipelines.training.watch import Watch


@dataclass(frozen=True)
class Outcome:
    """history: one entry a preview. resumed_from: the step of the checkpoint it went on from, 0 for none. state: for `warm`."""

    history: list[dict[str, float]]
    resumed_from: int
    state: dict[str, np.ndarray]


def fit(
    family: base.Family,
    dataset: Dataset,
    train: Train,
    hardware: Hardware,
    checkpoints: Path,
    logs: Path,
    start: Path | None = None,
    also: Sequence[keras.callbacks.Callback] = (),
    name: str = "train",
) -> Outcome:
    """Train `family` for `train.steps` and leave averaged weights in it.

    start: folder of a model whose training this one goes on from. also: who else follows it, after each preview. name: of its
    progress.

    Raises:
        GenloopError: it diverged or collapsed; no further checkpoint was written then.
    """
    first = warm_start.steps(start) if start else 0
    family.augmentation = Augmentation(**train.augment.model_dump()) if train.augment.any else None
    at_once = hardware.steps_at_once(train.steps, train.preview_every)
    # One optimizer moves both players of a GAN: Adam looks at each weight alone.
    optimizer = family.optimizer_for(train.steps, first)
    family.compile(optimizer=optimizer, jit_compile=hardware.xla, steps_per_execution=at_once)
    family.optimizer.build(family.trainable_variables)
    if start:
        warm_start.begin(start, family)
    step, history = checkpoint.restore(checkpoints, family)
    if step == 0:
        shutil.rmtree(logs, ignore_errors=True)  # of an earlier training of the very same
    else:
        print(f"train: going on from step {step:,}, where a run was cut off", file=sys.stderr)
    with Progress(name, (train.steps - step) * train.batch_size, "images") as progress:
        watch = Watch(dataset, train.batch_size, train.steps, at_once, checkpoints, logs, progress)
        watch.step, watch.history = step, history
        if step < train.steps:
            epochs = -(-(train.steps - step) // train.preview_every)
            # Counted on from the trainings before, whose batches would come again otherwise.
            with Batches(dataset, train.batch_size, base.numbers(family), train.seed, first + step) as batches:
                callbacks: list[keras.callbacks.Callback] = [watch, *also]
                inputs, every = backend.fed(batches), train.preview_every
                family.fit(inputs, steps_per_epoch=every, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)
    state = warm_start.capture(family)
    preview.average(family)
    collapse.check(collapse.smaller(watch.history), train.steps, at_end=True)
    return Outcome(watch.history, step, state)
