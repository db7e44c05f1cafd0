"""One training: the rows, the settings, the hardware, and its folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pipelines.settings.schema import TrainParams
from pipelines.training.dataset import Dataset
from pipelines.training.hardware import Hardware


@dataclass(frozen=True)
class TrainingRun:
    """start: folder of a model whose training this one continues. name: of its progress."""

    dataset: Dataset
    train: TrainParams
    hardware: Hardware
    checkpoints: Path
    logs: Path
    start: Path | None = None
    name: str = "train"

    @property
    def steps_per_call(self) -> int:
        return self.hardware.steps_per_call(self.train.steps, self.train.preview_every)
