"""The version that a training goes on from, as `train.init` names it."""

from __future__ import annotations

from pathlib import Path

from pipelines.registry.client import Registry
from pipelines.settings.schema import Params


def fetch(params: Params, registry: Registry, folder: Path) -> int | None:
    """Copy the version that `train.init` names into `folder`; its number, None for a training from scratch.

    Raises:
        InputError: there is no version of that number.
    """
    init = params.train.init
    if init == "scratch":
        return None
    parent = registry.fetch(folder, None if init == "champion" else registry.version(init).number)
    if parent is None:
        print(f"train: {registry.name} has no champion yet to go on from; from scratch")
    return parent
