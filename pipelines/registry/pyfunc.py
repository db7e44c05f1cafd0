"""A registered version as MLflow loads it, on any machine: the version's own code and weights, and nothing of Genloop.

MLflow stores this file with the version ("models from code") and runs it to load the version: nothing is unpickled. The
version's folder holds model.json, weights.safetensors and `code`, the package `pipelines/models` as it was.
"""

import hashlib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel


class Registered(PythonModel):
    """Draws: a table with the columns count, seed (the first image's) and label (a class's index; left out: by turns)."""

    folder: Path

    def load_context(self, context: Any) -> None:
        self.folder = Path(context.artifacts["model"])
        self.base = package(self.folder / "code")
        about = self.base.describe(self.folder)
        module = importlib.import_module(f"{self.base.__package__}.{about.module}")
        self.family = self.base.load(self.folder, getattr(module, about.class_name))
        self.conditional = bool(self.family.conditional and about.spec.classes)
        self.classes: list[str] = about.classes

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        """Images (n, size, size, channels) uint8, 0..255, row after row of the table."""
        drawn = []
        for row in model_input.to_dict("records"):
            seeds = int(row["seed"]) + np.arange(int(row["count"]))
            label = row.get("label")
            named = label is not None and label == label  # a missing value is None or NaN
            drawn.append(self.draw(seeds, np.full(len(seeds), int(label), np.int32) if named else None))
        return np.concatenate(drawn)

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """One image for each seed, uint8; an image depends on its seed and its label only."""
        images: np.ndarray = self.base.draw(self.family, seeds, labels)
        return images

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images at the shares `at` of the way from each seed to the other one, uint8."""
        images: np.ndarray = self.base.walk(self.family, seeds, others, at, labels)
        return images

    def interpolate(self, seed_a: int, seed_b: int, steps: int, label: int | None = None) -> np.ndarray:
        """The way from the image of one seed to that of another, both included, uint8."""
        images: np.ndarray = self.base.interpolate(self.family, seed_a, seed_b, steps, label)
        return images

    def variations(self, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
        """Images near that of a seed, uint8; strength 0 is the image itself, 1 has nothing to do with it."""
        images: np.ndarray = self.base.variations(self.family, seed, strength, count, label)
        return images


def package(code: Path) -> ModuleType:
    """The module `base` of the package in `code`, under a name of its content, so that versions do not share code."""
    digest = hashlib.sha256()
    for path in sorted(code.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    name = f"genloop_models_{digest.hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, code / "__init__.py", submodule_search_locations=[str(code)])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{name}.base")


set_model(Registered())
