"""A model in a folder, ready to generate, whatever kind it is: `open_generator`."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from . import base
from .base import Family, ImageSpec
from .lazy import np


class Generator(Protocol):
    """What generates images.

    classes: names of the classes. conditional: whether it can be asked for one of them.
    accepts_prompts: whether it can be asked for what somebody writes.
    deterministic: whether a seed is always the same image. failures: exceptions that say, for people, why no images came.
    """

    spec: ImageSpec
    classes: list[str]
    conditional: bool
    accepts_prompts: bool
    deterministic: bool
    failures: tuple[type[Exception], ...]

    @property
    def walks(self) -> bool:
        """Whether there are images between two others."""

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """As `base.draw`."""

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """An image for each seed and its prompt; ValueError where it accepts none."""

    def walk(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """As `base.walk`; ValueError where it does not walk."""

    def interpolate(self, seed_a: int, seed_b: int, steps: int, label: int | None = None) -> np.ndarray:
        """As `base.interpolate`; ValueError where it does not walk."""

    def variations(self, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
        """As `base.variations`; ValueError where it has none."""

    def check_weights(self) -> None:
        """Raises one of `failures` where the weights in the folder are not those that were trained."""

    def close(self) -> None:
        """Let go what it holds beside memory of this process."""


class KerasGenerator:
    """A family of Keras' with its weights, in this process."""

    walks, deterministic, accepts_prompts = True, True, False
    failures: tuple[type[Exception], ...] = ()

    def __init__(self, folder: Path, family_class: type[Family]) -> None:
        about = base.describe(folder)
        self.family = base.load(folder, family_class)
        self.spec, self.classes = about.spec, about.classes
        self.conditional = bool(self.family.conditional and about.spec.classes)

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return base.draw(self.family, seeds, labels)

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        raise ValueError("this model takes no prompts")

    def walk(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return base.walk(self.family, starts, ends, at, labels)

    def interpolate(self, seed_a: int, seed_b: int, steps: int, label: int | None = None) -> np.ndarray:
        return base.interpolate(self.family, seed_a, seed_b, steps, label)

    def variations(self, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
        return base.variations(self.family, seed, strength, count, label)

    def check_weights(self) -> None:
        pass  # they were checked when they were loaded

    def close(self) -> None:
        pass


def open_generator(folder: Path, family_class: type[Family] | None = None, root: Path | None = None) -> Generator:
    """The model whose model.json and weights `folder` holds.

    Args:
        family_class: of a family that is not in this package; by default the one that model.json names.
        root: of the project, for an external model.

    Raises:
        ValueError: the folder holds no whole model.
    """
    about = base.describe(folder)
    if about.external is not None:
        external = importlib.import_module(f"{__package__}.external")  # by name: no family of Keras' depends on that file
        generator: Generator = external.ExternalGenerator(folder, root)
        return generator
    if family_class is None:
        family_class = getattr(importlib.import_module(f"{__package__}.{about.module}"), about.class_name)
    return KerasGenerator(folder, family_class)
