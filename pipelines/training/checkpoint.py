"""Checkpoints: a training that was killed resumes from them, and ends with the same bits as one that was not.

A checkpoint holds all variables of model and optimizer (moving averages and seed generators are among them), and the step, from
which the order of the data follows. A file is written whole or not at all, and the one before it is kept as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from pipelines.core import files
from pipelines.core.progress import say
from pipelines.models import base
from pipelines.models.base import Family

KEEP_FILES = 2


def write(folder: Path, family: Family, step: int, history: list[dict[str, float]]) -> None:
    tensors = {name: base.value(variable) for name, variable in state(family).items()}
    about = {"step": str(step), "history": json.dumps(history), "sha256": digest(tensors)}
    files.write(folder / f"step-{step:08d}.safetensors", save(tensors, about))
    for old in newest_first(folder)[KEEP_FILES:]:
        old.unlink()


def restore(folder: Path, family: Family) -> tuple[int, list[dict[str, float]]]:
    """Put the newest usable checkpoint into `family`; its step and history, or (0, []) where there is none."""
    for path in newest_first(folder):
        try:
            tensors, about = read(path)
        except (OSError, SafetensorError, ValueError) as error:
            say(f"train: {path} cannot be used ({error}); trying the one before it")
            continue
        for name, variable in state(family).items():
            variable.assign(tensors[name])
        return int(about["step"]), json.loads(about["history"])
    return 0, []


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    with safe_open(path, "numpy") as file:
        tensors, about = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    if about.get("sha256") != digest(tensors):
        raise ValueError("its content does not have the digest that it names")
    return tensors, about


def state(family: Family) -> dict[str, keras.Variable]:
    """The variables by position, which is the same as when they were written: the key of the folder stands for the code."""
    variables: Sequence[keras.Variable] = [*family.variables, *family.optimizer.variables]
    return {f"{number:05d}": variable for number, variable in enumerate(variables)}


def digest(tensors: dict[str, np.ndarray]) -> str:
    total = hashlib.sha256()
    for name in sorted(tensors):
        total.update(f"{name} {tensors[name].dtype} {tensors[name].shape}".encode())
        total.update(tensors[name].tobytes())
    return total.hexdigest()


def newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.safetensors"), reverse=True)
