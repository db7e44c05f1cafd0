"""Lazy imports of NumPy, SciPy and Keras, for plug-ins: their modules are imported to check params, which must stay fast."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["keras", "linalg", "np", "special"]


class LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import keras
    import numpy as np
    from scipy import linalg, special
else:
    keras, np, linalg, special = map(LazyModule, ("keras", "numpy", "scipy.linalg", "scipy.special"))
