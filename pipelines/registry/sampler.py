"""A model that generates: in a folder, as `train` left it, or a registered version, whatever its kind and its age."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import GenloopError, InputError

NO_WALK = "this model's sampler has no `walk`"


class Sampler:
    """classes: names of the classes. conditional: whether it can be asked for one of them. deterministic: whether a seed is
    always the same image. accepts_prompts: whether it can be asked for what somebody writes."""

    def __init__(self, model: Any, root: Path | None = None) -> None:
        """model: a generator (pipelines/models/generator.py), or what a version brings along (pyfunc.py as it was).

        root: the project, where an external model's interpreter may be.
        """
        self.model = model
        self.classes: list[str] = model.classes
        self.conditional: bool = model.conditional
        self.accepts_prompts: bool = getattr(model, "accepts_prompts", False)
        self.deterministic: bool = getattr(model, "deterministic", True)  # older versions all are, and all walk
        self.failures: tuple[type[Exception], ...] = getattr(model, "failures", ())
        if hasattr(model, "close"):  # MLflow keeps the model that it has loaded last, and with it a process, for nobody
            weakref.finalize(self, model.close)
        generator: Any = getattr(model, "generator", None)
        if root is not None and hasattr(generator, "root"):
            generator.root = root

    @property
    def walks(self) -> bool:
        """Whether there are images between two others. Raises GenloopError where the model cannot be asked."""
        try:
            return bool(getattr(self.model, "walks", True))
        except self.failures as error:
            raise GenloopError(str(error)) from error

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """One image for each seed: (n, size, size, channels) uint8; an image depends on its seed and label only.

        Raises:
            GenloopError: the model's own process gave none; the message says why.
        """
        try:
            images: np.ndarray = self.model.draw(seeds, labels)
        except self.failures as error:
            raise GenloopError(str(error)) from error
        return images

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """One image for each seed and its prompt: (n, size, size, channels) uint8.

        Raises:
            InputError: the model accepts no prompts.
            GenloopError: as `draw`.
        """
        if not self.accepts_prompts:
            raise InputError("this model takes no prompts")
        try:
            images: np.ndarray = self.model.draw_prompts(seeds, prompts)
        except self.failures as error:
            raise GenloopError(str(error)) from error
        return images

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images at the shares `at` (n,) of the way from each seed to the other one: (n, size, size, channels) uint8.

        Raises:
            InputError: the model does not walk.
            GenloopError: as `draw`.
        """
        if not self.walks:
            raise InputError(f"there are no images between two others: {NO_WALK}")
        try:
            images: np.ndarray = self.model.walk(seeds, others, at, labels)
        except self.failures as error:
            raise GenloopError(str(error)) from error
        return images

    def check_weights(self) -> None:
        """Raises GenloopError where the weights in the model's folder are not those that were trained."""
        try:
            self.model.check_weights()
        except self.failures as error:
            raise GenloopError(str(error)) from error

    def close(self) -> None:
        """Let go of the process that generates, where there is one; the next call starts another one."""
        close = getattr(self.model, "close", None)
        if close is not None:
            close()


def load(folder: Path) -> Sampler:
    """Raises InputError where `folder` holds no whole model."""
    backend.load()
    from pipelines.models import base, generator

    try:
        about = base.describe(folder)
        family_class = catalogue.get(catalogue.MODELS, about.family) if about.external is None else None
        return Sampler(generator.open_generator(folder, family_class))
    except ValueError as error:
        raise InputError(f"no usable model: {error}; `train` makes one (`genloop run`)") from None
