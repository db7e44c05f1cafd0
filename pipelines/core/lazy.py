"""Lazy imports for plug-ins, of NumPy, SciPy, scikit-learn and Keras: plug-ins are imported to check params, which is fast."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["ensemble", "keras", "linalg", "np", "special"]


class LazyModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import keras
    import numpy as np
    from scipy import linalg, special
    from sklearn import ensemble
else:
    keras, np, linalg, special, ensemble = map(
        LazyModule, ("keras", "numpy", "scipy.linalg", "scipy.special", "sklearn.ensemble")
    )
