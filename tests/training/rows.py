"""Tiny trainings: a few dozen 8x8 images of three classes, and a project that holds them as data/clean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pipelines import catalogue, train
from pipelines.core.project import Project
from pipelines.registry.client import Registry
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


def fill(project: Project, count: int = 30, classes: tuple[str, ...] = CLASSES, **columns: Any) -> None:
    """data/clean and data/curated."""
    labels = [number % len(classes) if classes else None for number in range(count)]
    write_rows(project.clean, pictures(count, 8, 1), labels, classes, **columns)
    write_feedback(project.curated, classes=classes)


def trained(
    project: Project, make_params: Callable[..., Params], changes: dict[str, Any] | None = None, registry: Any = None
) -> dict[str, np.ndarray]:
    """The weights that the stage makes, by name. registry: what is fetched from; None for the project's own."""
    from safetensors.numpy import load_file

    params = make_params({**TINY, **(changes or {})})
    train.train(project, params, registry or Registry.open(project, params.registry))
    return load_file(project.model / "weights.safetensors")


def preset(family: str) -> str:
    """The smallest."""
    presets = catalogue.get(catalogue.MODELS, family).presets
    return "tiny" if "tiny" in presets else "small"


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(value, other[name]) for name, value in one.items())
