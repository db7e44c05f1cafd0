"""What a training leaves for the next one to go on from: all weights, averaged as `fit` leaves them, and the optimizer's state.

The weights that a model draws with are not enough: an optimizer that knows nothing yet would first unlearn, and so would a
discriminator that has seen no images.
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


def fits(folder: Path, wanted: Description) -> None:
    """Raises InputError where the model in `folder` is of another architecture than `wanted`, or no state is kept with it."""
    try:
        there = base.describe(folder)
    except ValueError as error:
        raise InputError(f"the champion cannot be gone on from: {error}; set train.init to scratch") from None
    for part in ("family", "preset", "spec", "classes"):
        came, expected = getattr(there, part), getattr(wanted, part)
        if came != expected:
            raise InputError(
                f"the champion cannot be gone on from: its {part} is {came}, and params.yaml and the data ask for {expected}; "
                "set train.init to scratch, or the settings to the champion's"
            )
    if not (folder / STATE).is_file():
        raise InputError("the champion was registered without the state of its training; set train.init to scratch once")


def steps(folder: Path) -> int:
    """How many steps led to the state in `folder`."""
    return int(read(folder)["optimizer/00000"])


def begin(folder: Path, family: Family) -> None:
    """Put the state in `folder` into a family that is compiled and whose optimizer is built."""
    state, there = read(folder), variables(family)
    fault = base.mismatch(state, there)
    if fault:
        raise InputError(f"the champion's training cannot be gone on from by this code: {fault}; set train.init to scratch")
    for name, variable in there.items():
        variable.assign(state[name])


def read(folder: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(folder / STATE)
    except (OSError, SafetensorError) as error:
        raise InputError(f"the champion's training state cannot be read ({error}); set train.init to scratch") from None


def variables(family: Family) -> dict[str, keras.Variable]:
    """The model's by name, the optimizer's by place: the first counts its steps."""
    places = {f"optimizer/{place:05d}": variable for place, variable in enumerate(family.optimizer.variables)}
    return {**{f"model/{name}": variable for name, variable in base.named_variables(family).items()}, **places}
