"""The expectations that one row can break alone: of a row that comes later than the data, none is a warning."""

from __future__ import annotations

import numpy as np

from pipelines.core.facts import Facts
from pipelines.settings.schema import Expectations

SHOWN = ("brightness", "contrast", "sharpness")  # what the picture shows, however large it is


def broken(measured: Facts, limits: Expectations, names: tuple[str, ...] = ("side", "modes", *SHOWN)) -> np.ndarray:
    """(n,) str: the first of these expectations that a row breaks, empty where it breaks none."""
    found = np.full(len(measured), "", "U16")
    for name in names:
        limit = getattr(limits, name)
        if limit is not None:
            found[(found == "") & ~holds(measured, name, limit)] = name
    return found


def holds(measured: Facts, name: str, limit: list) -> np.ndarray:
    """(n,) bool. What is not a number holds nothing."""
    if name == "modes":
        return np.isin(measured["mode"], [mode.encode() for mode in limit])
    columns = ("width", "height") if name == "side" else (name,)
    least = -np.inf if limit[0] is None else limit[0]
    most = np.inf if limit[1] is None else limit[1]
    return np.all([(measured[column] >= least) & (measured[column] <= most) for column in columns], axis=0)
