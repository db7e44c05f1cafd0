"""What a training leaves, whichever kind of model was trained: figures for the reports, and how the model is saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.training.preview import PreviewSamples


@dataclass(frozen=True)
class TrainedModel:
    """A model that is ready to be saved.

    save: writes it into an empty folder, and returns images that it generates; raises GenloopError where it is not sound.
    weights: how large it is, in `unit`. history: the lines of training.csv. resumed_from: the step that the training went on
    from, 0 for the beginning. rows: that it was trained on. unlabelled: rows without a label, where others have one, and which
    are left out. parent: the version that the training went on from. seconds: of the training alone.
    checkpoints: a folder that nothing needs any more when the model is saved. logs: the training's own.
    """

    save: Callable[[Path], PreviewSamples]
    weights: int
    unit: Literal["numbers", "bytes"]
    history: list[dict[str, float]]
    resumed_from: int
    rows: int
    unlabelled: int
    classes: list[str]
    parent: int | None
    seconds: float
    checkpoints: Path | None = None
    logs: Path | None = None
    hardware: dict[str, Any] = field(default_factory=dict)
