"""What happens beside the training itself: progress, checks, previews, events, checkpoints."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pipelines.core import files, grids
from pipelines.core.errors import GenloopError
from pipelines.core.progress import Progress
from pipelines.models import base
from pipelines.training import checkpoint, collapse, preview
from pipelines.training.dataset import Dataset
from pipelines.training.events import Events


class Watch(keras.callbacks.Callback):
    """Follows `fit`, whose epochs are the steps between two previews.

    Under JAX the variables hold what was trained only between epochs, so nothing in here looks at them earlier.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, steps: int, checkpoints: Path, logs: Path, progress: Progress
    ) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.steps = dataset, batch_size, steps
        self.checkpoints, self.logs, self.progress = checkpoints, logs, progress
        self.labels = preview.shown(dataset)
        self.real_spread = collapse.real_spread(dataset, np.unique(self.labels))
        self.step = 0
        self.history: list[dict[str, float]] = []  # one entry a preview, the rows of training.csv

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.events = Events(self.logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began, self.began_at = time.monotonic(), self.step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.step += 1
        losses = numbers(logs)
        check_losses(losses, self.step)
        parts = [f"{name.replace('_loss', '')} {value:.3f}" for name, value in losses.items() if name != "loss"]
        self.progress.advance(self.batch_size, note=", ".join(parts))
        if self.step >= self.steps:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        rate = (self.step - self.began_at) * self.batch_size / (time.monotonic() - self.began)
        losses = numbers(logs)
        check_weights(self.model, self.step, losses)
        with preview.averaged(self.model):
            samples = preview.draw(self.model, self.labels)
        share = collapse.spread(samples.images, samples.labels) / max(self.real_spread, 1e-9)
        values = {**losses, "images_per_second": round(rate, 1), "spread": round(share, 4)}
        self.show(samples, values)
        self.history.append({"step": self.step, **values})
        collapse.check([entry["spread"] for entry in self.history], self.step)
        checkpoint.write(self.checkpoints, self.model, self.step, self.history)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.events.close()

    def show(self, samples: preview.Samples, values: dict[str, float]) -> None:
        page = samples.page(self.dataset.classes)
        png = grids.png(page)
        files.write(self.logs / f"samples-{self.step:08d}.png", png)
        self.events.scalars(self.step, values)
        self.events.image(self.step, "samples", png, page.width, page.height)


def numbers(logs: dict[str, Any] | None) -> dict[str, float]:
    return {name: float(value) for name, value in (logs or {}).items()}


def check_losses(losses: dict[str, float], step: int) -> None:
    if not all(math.isfinite(value) for value in losses.values()):
        raise GenloopError(diverged(step, losses, "a loss is not finite"))


def check_weights(family: base.Family, step: int, losses: dict[str, float]) -> None:
    """A step may spoil weights and still report the finite loss that it started from."""
    for name, variable in base.named_variables(family).items():
        if not np.isfinite(base.value(variable)).all():
            raise GenloopError(diverged(step, losses, f"weights of {name} are not finite"))


def diverged(step: int, losses: dict[str, float], fault: str) -> str:
    values = ", ".join(f"{name} {value:.4g}" for name, value in losses.items())
    return (
        f"the training diverged at step {step:,}: {fault} ({values}); nothing was saved. "
        "Try another train.seed, a larger train.batch_size, or another model.preset"
    )
