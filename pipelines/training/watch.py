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
from pipelines.training.tensorboard import Events

MOST_LOSS = 1e7  # none of a training that goes anywhere comes near it


class Watch(keras.callbacks.Callback):
    """Follows `fit`, whose epochs are the steps between two previews.

    Under JAX the variables hold what was trained only between epochs, so nothing in here looks at them earlier.
    """

    def __init__(
        self, dataset: Dataset, batch_size: int, steps: int, at_once: int, checkpoints: Path, logs: Path, progress: Progress
    ) -> None:
        super().__init__()
        self.dataset, self.batch_size, self.steps, self.at_once = dataset, batch_size, steps, at_once
        self.checkpoints, self.logs, self.progress = checkpoints, logs, progress
        self.labels = preview.shown(dataset)
        self.variety = collapse.Variety.of(dataset, self.labels)
        self.step = 0
        self.unread: tuple[int, dict[str, Any] | None] | None = None
        self.history: list[dict[str, float]] = []  # one entry a preview, the rows of training.csv

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self.events = Events(self.logs)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.began, self.began_at = time.monotonic(), self.step

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at what the call before this one said: to look at this one's would let the device wait."""
        self.read()
        self.step += self.at_once
        self.unread = self.step, logs
        if self.step >= self.steps:
            self.model.stop_training = True

    def read(self) -> None:
        """Check and show the losses that nobody has looked at yet."""
        if self.unread is None:
            return
        (step, logs), self.unread = self.unread, None
        losses = numbers(logs)
        check_losses(losses, step)
        parts = [f"{name.replace('_loss', '')} {value:.3f}" for name, value in losses.items() if name != "loss"]
        self.progress.advance(self.batch_size * self.at_once, note=", ".join(parts))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.read()
        rate = (self.step - self.began_at) * self.batch_size / (time.monotonic() - self.began)
        losses = numbers(logs)
        check_weights(self.model, self.step, losses)
        with preview.averaged(self.model):
            samples = preview.draw(self.model, self.labels)
        norm = float(base.value(self.model.optimizer.gradient_norm))
        shares = self.variety.shares(samples.images, samples.labels)
        values = {**losses, "gradient_norm": norm, "images_per_second": round(rate, 1), **shares}
        self.show(samples, values)
        self.history.append({"step": self.step, **values})
        collapse.check(collapse.smaller(self.history), self.step)
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
    if not all(abs(value) <= MOST_LOSS for value in losses.values()):
        fault = "a loss is not finite" if not all(map(math.isfinite, losses.values())) else f"a loss is beyond {MOST_LOSS:.0e}"
        raise GenloopError(diverged(step, losses, fault))


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
