"""The contract of a feature extractor: images -> feature vectors in which distances mean something."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Features:
    """What an extractor sees in n images.

    vectors: (n, d) float32.
    probabilities: (n, classes) float32, each row sums to 1; None where the extractor knows no classes.
    """

    vectors: np.ndarray
    probabilities: np.ndarray | None


@dataclass(frozen=True)
class Settings:
    """Of `fit`; each extractor uses what it needs.

    weights: path or URL of the file that an extractor with FROM_FILE is read from. sha256: that file's, in hex.
    """

    steps: int
    seed: int
    weights: str | None = None
    sha256: str | None = None


class Extractor(ABC):
    """Made once by `reference`, then the same for every model that is scored.

    of_classes: whether its probabilities are over the data's own classes, so that they can be held against labels.
    Its module says with the constant FROM_FILE whether it comes from a file that the settings name, and with LEARNS whether
    from the images: those that it learned from look otherwise to it than any others.
    """

    of_classes: bool

    @classmethod
    @abstractmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: Settings) -> Self:
        """Train on real rows, or read the file.

        Args:
            images: (n, size, size, channels) uint8, 0..255.
            labels: (n,) int32, -1 for none.
            classes: how many classes there are; 0 for unlabelled data.
        """

    @abstractmethod
    def extract(self, images: np.ndarray) -> Features:
        """Features of (n, size, size, channels) uint8; a row's do not depend on the rows around it."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """All that `load` needs, on whatever machine, in files named `extractor.*`."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Raises InputError where `folder` holds no such extractor."""

    @property
    @abstractmethod
    def how(self) -> str:
        """How it came to be, in a few words, for the report."""
