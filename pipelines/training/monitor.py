"""The monitor of a training: shows progress, checks losses and weights, writes previews, logs and checkpoints."""

from __future__ import annotations

import time
from typing import Any

import keras
import numpy as np

from pipelines.core import files, grids
from pipelines.core.errors import GenloopError
from pipelines.core.progress import Progress
from pipelines.models import base
from pipelines.training import checkpoint, collapse, preview
from pipelines.training.divergence import check_losses, divergence_message
from pipelines.training.tensorboard import TensorBoardWriter
from pipelines.training.training_run import TrainingRun


class TrainingMonitor(keras.callbacks.Callback):
    """Follows `fit`, whose epochs are the steps between two previews.

    Under JAX the variables hold the trained values only between epochs, so they are not read earlier.
    """

    def __init__(self, run: TrainingRun, progress: Progress, step: int, history: list[dict[str, float]]) -> None:
        """step, history: of the checkpoint that the training resumes from. An entry of the history is a row of training.csv."""
        super().__init__()
        self.run, self.progress, self.step, self.history = run, progress, step, history
        self.steps_per_call, self.batch_size = run.steps_per_call, run.train.batch_size
        self.labels = preview.labels(run.dataset)
        self.variety = collapse.Variety.measure(run.dataset, self.labels)
        self.unread: tuple[int, dict[str, Any] | None] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.events = TensorBoardWriter(self.run.logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch_began, self.first_step = time.monotonic(), self.step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Read the losses of the call before this one: to read those of this one would let the device wait."""
        self.read()
        self.step += self.steps_per_call
        self.unread = self.step, logs
        if self.step >= self.run.train.steps:
            self.model.stop_training = True

    def read(self) -> None:
        """Check and show the losses that are not read yet."""
        if self.unread is None:
            return
        (step, logs), self.unread = self.unread, None
        losses = numbers(logs)
        check_losses(losses, step)
        parts = [f"{name.replace('_loss', '')} {value:.3f}" for name, value in losses.items() if name != "loss"]
        self.progress.advance(self.batch_size * self.steps_per_call, note=", ".join(parts))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.read()
        rate = (self.step - self.first_step) * self.batch_size / (time.monotonic() - self.epoch_began)
        losses = numbers(logs)
        check_weights(self.model, self.step, losses)
        with preview.averaged_weights(self.model):
            samples = preview.generate(self.model, self.labels)
        norm = float(base.value(self.model.optimizer.gradient_norm))
        shares = self.variety.shares(samples.images, samples.labels)
        values = {**losses, "gradient_norm": norm, "images_per_second": round(rate, 1), **shares}
        self.show(samples, values)
        self.history.append({"step": self.step, **values})
        collapse.check(collapse.smaller_shares(self.history), self.step)
        checkpoint.write(self.run.checkpoints, self.model, self.step, self.history)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.events.close()

    def show(self, samples: preview.PreviewSamples, values: dict[str, float]) -> None:
        grid = samples.grid(self.run.dataset.classes)
        png = grids.png(grid)
        files.write(self.run.logs / f"samples-{self.step:08d}.png", png)
        self.events.scalars(self.step, values)
        self.events.image(self.step, "samples", png, grid.width, grid.height)


def numbers(logs: dict[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}


def check_weights(family: base.Family, step: int, losses: dict[str, float]) -> None:
    """A step may spoil weights and still report the finite loss that it started from."""
    for name, variable in base.named_variables(family).items():
        if not np.isfinite(base.value(variable)).all():
            raise GenloopError(divergence_message(step, losses, f"weights of {name} are not finite"))
