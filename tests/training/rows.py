"""Tiny trainings: a few dozen 8x8 pictures of three classes, and a project folder that holds them as data/clean."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue, train
from pipelines.core import paths
from pipelines.settings.schema import Params
from tests.contracts import pictures, write_feedback, write_rows

CLASSES = ("left", "middle", "right")
TINY = {
    "image.size": 8,
    "model.family": "gan",
    "model.preset": "tiny",
    "train.steps": 6,
    "train.batch_size": 8,
    "train.preview_every": 3,
}


def fill(count: int = 30, classes: tuple[str, ...] = CLASSES, **columns: Any) -> None:
    """data/clean of the working directory."""
    labels = [number % len(classes) if classes else None for number in range(count)]
    write_rows(paths.CLEAN, pictures(count, 8, 1), labels, classes, **columns)
    write_feedback(classes=classes)


def trained(make_params: Callable[..., Params], changes: dict[str, Any] | None = None) -> dict[str, np.ndarray]:
    """The weights that the stage makes in the working directory, by name."""
    from safetensors.numpy import load_file

    train.run(make_params({**TINY, **(changes or {})}))
    return load_file(Path(paths.MODEL) / "weights.safetensors")


def preset(family: str) -> str:
    """The smallest."""
    presets = catalogue.literal(catalogue.MODELS, family, "PRESETS")
    return "tiny" if "tiny" in presets else "small"


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(value, other[name]) for name, value in one.items())
