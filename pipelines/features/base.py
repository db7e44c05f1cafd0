"""The contract of a feature extractor: images -> feature vectors in which distances mean something; and what they share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from pipelines.core.lazy import np
from pipelines.core.progress import Progress


@dataclass(frozen=True)
class Features:
    """What an extractor finds in n images.

    vectors: (n, d) float32.
    probabilities: (n, classes) float32, each row sums to 1; None where the extractor knows no classes.
    """

    vectors: np.ndarray
    probabilities: np.ndarray | None


@dataclass(frozen=True)
class ExtractorSettings:
    """What `fit` needs; each extractor uses what it needs of it.

    weights: path or URL of the file, or the preset, that an extractor with `from_file` is read from. sha256: of that file, or
    of the weights in the preset, in hex; None where it is not known yet.
    downloads: the folder in which a file from elsewhere is kept; None where none may be.
    """

    steps: int
    seed: int
    weights: str | None = None
    sha256: str | None = None
    downloads: Path | None = None


class Extractor(ABC):
    """Made once by `reference`, then the same for every model that is scored.

    Modules of extractors import nothing heavy at the top: params.yaml is checked with them.

    from_file: whether it comes from a file that the settings name.
    of_presets: whether that may be a preset of its library, by its name, or a folder with one; what to pin is then found out.
    learns: whether it comes from the images: features of those that it learned from are unlike those of any others.
    of_classes: whether its probabilities are over the data's own classes, so that they can be held against labels.
    width: length of a feature vector, by which it is known before any work how many images a metric needs; 0 if unknown.
    """

    width: ClassVar[int] = 0
    from_file: ClassVar[bool] = False
    of_presets: ClassVar[bool] = False
    learns: ClassVar[bool] = False
    of_classes: bool

    @classmethod
    @abstractmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Self:
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
    def description(self) -> str:
        """How the extractor was made, in a few words, for the report."""


def run_in_batches(images: np.ndarray, size: int, network: Callable[[np.ndarray], Sequence[Any]]) -> list[np.ndarray]:
    """What `network` makes of (n, ...) images: its outputs for a batch, each of shape (size, ...), joined to (n, ...).

    Always `size` images at once, the last batch filled up: a row's features never depend on how many came with it.
    """
    found: list[np.ndarray] = []
    with Progress("features", len(images), "images") as progress:
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            filled = np.concatenate([chunk, np.zeros((size - len(chunk), *chunk.shape[1:]), chunk.dtype)])
            parts = [np.asarray(part) for part in network(filled)]
            found = found or [np.empty((len(images), *part.shape[1:]), part.dtype) for part in parts]
            for whole, part in zip(found, parts, strict=True):
                whole[start : start + len(chunk)] = part[: len(chunk)]
            progress.advance(len(chunk))
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
    """(n, classes) -> (n, classes) float32, computed in float64."""
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return (wide / wide.sum(axis=1, keepdims=True)).astype(np.float32)
