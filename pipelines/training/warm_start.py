"""Warm starts: a training continues from the state that an earlier one left, all weights, averaged, and the optimizer's state.

The weights that a model generates with are not enough: with a new optimizer, or a discriminator that has seen no images, the
model would first become worse.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.models import base
from pipelines.models.base import Description, Family

STATE = "training.safetensors"


def capture(family: Family) -> dict[str, np.ndarray]:
    return {name: base.value(variable) for name, variable in variables(family).items()}


def write(folder: Path, state: dict[str, np.ndarray]) -> None:
    files.write(folder / STATE, save(state))


def check(folder: Path, expected: Description) -> None:
    """Raises InputError where the model in `folder` has another architecture than `expected`, or no state is kept with it."""
    try:
        champion = base.describe(folder)
    except ValueError as error:
        raise InputError(f"the training cannot continue from the champion: {error}; set train.init to scratch") from None
    for part in ("family", "preset", "spec", "classes"):
        actual, required = getattr(champion, part), getattr(expected, part)
        if actual != required:
            raise InputError(
                f"the training cannot continue from the champion: its {part} is {actual}, and params.yaml and the data ask for "
                f"{required}; "
                "set train.init to scratch, or the settings to the champion's"
            )
    if not (folder / STATE).is_file():
        raise InputError("the champion was registered without the state of its training; set train.init to scratch once")


def steps(folder: Path) -> int:
    """How many steps led to the state in `folder`."""
    return int(read(folder)["optimizer/00000"])


def restore(folder: Path, family: Family) -> None:
    """Put the state in `folder` into a family that is compiled and whose optimizer is built."""
    state, named = read(folder), variables(family)
    fault = base.mismatch(state, named)
    if fault:
        raise InputError(f"this code cannot continue the champion's training: {fault}; set train.init to scratch")
    for name, variable in named.items():
        variable.assign(state[name])


def read(folder: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(folder / STATE)
    except (OSError, SafetensorError) as error:
        raise InputError(f"the champion's training state cannot be read ({error}); set train.init to scratch") from None


def variables(family: Family) -> dict[str, keras.Variable]:
    """The model's variables by name, the optimizer's by position: the first of those counts its steps."""
    model = {f"model/{name}": variable for name, variable in base.named_variables(family).items()}
    return {**model, **{f"optimizer/{i:05d}": variable for i, variable in enumerate(family.optimizer.variables)}}
