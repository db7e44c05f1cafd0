"""Lazy imports of Keras and NumPy, for families: their modules are imported to check params, before Keras loads."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["components", "keras", "layers", "np", "ops"]


class DeferredModule(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


if TYPE_CHECKING:
    import keras
    import numpy as np
    from keras import layers, ops

    from . import components
else:
    keras, layers, ops, np = map(DeferredModule, ("keras", "keras.layers", "keras.ops", "numpy"))
    components = DeferredModule(f"{__package__}.components")
