"""The training of a family on a data set, from the beginning or from its newest checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from pipelines.core import backend
from pipelines.core.progress import Progress, say
from pipelines.models import base
from pipelines.models.augment import Augmentation
from pipelines.training import checkpoint, collapse, preview, warm_start
from pipelines.training.batches import Batches
from pipelines.training.monitor import TrainingMonitor
from pipelines.training.training_run import TrainingRun


@dataclass(frozen=True)
class TrainingResult:
    """history: one entry a preview. resumed_from: the step of the checkpoint it went on from, 0 for none.

    state: for a warm start of another training.
    """

    history: list[dict[str, float]]
    resumed_from: int
    state: dict[str, np.ndarray]


def fit(family: base.Family, run: TrainingRun, callbacks: Sequence[keras.callbacks.Callback] = ()) -> TrainingResult:
    """Train `family` for `train.steps` and leave averaged weights in it; `callbacks` are called after each preview.

    Raises:
        GenloopError: it diverged or collapsed; no further checkpoint was written then.
    """
    train = run.train
    first = warm_start.steps(run.start) if run.start else 0
    family.augmentation = Augmentation(**train.augment.model_dump()) if train.augment.any else None
    # One optimizer moves both players of a GAN: Adam looks at each weight alone.
    optimizer = family.optimizer_for(train.steps, first)
    family.compile(optimizer=optimizer, jit_compile=run.hardware.xla, steps_per_execution=run.steps_per_call)
    family.optimizer.build(family.trainable_variables)
    if run.start:
        warm_start.restore(run.start, family)
    step, history = checkpoint.restore(run.checkpoints, family)
    if step == 0:
        shutil.rmtree(run.logs, ignore_errors=True)  # of an earlier training of the very same
    else:
        say(f"train: going on from step {step:,}, where a run was cut off")
    with Progress(run.name, (train.steps - step) * train.batch_size, "images") as progress:
        monitor = TrainingMonitor(run, progress, step, history)
        if step < train.steps:
            epochs = -(-(train.steps - step) // train.preview_every)
            # Counted on from the trainings before, whose batches would come again otherwise.
            with Batches(run.dataset, train.batch_size, base.numbers(family), train.seed, first + step) as batches:
                family.fit(
                    backend.as_dataset(batches),
                    steps_per_epoch=train.preview_every,
                    epochs=epochs,
                    shuffle=False,
                    verbose=0,
                    callbacks=[monitor, *callbacks],
                )
    state = warm_start.capture(family)
    preview.set_averaged_weights(family)
    collapse.check(collapse.smaller_shares(monitor.history), train.steps, at_end=True)
    return TrainingResult(monitor.history, step, state)
