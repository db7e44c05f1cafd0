"""The contract of a taste: which images those like who have it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np

    from pipelines.tastes.classifier import Classifier


class Likes(Protocol):
    def __call__(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(n,) bool of (n, size, size, channels) uint8 and the labels that were asked for, (n,) int32."""


@dataclass(frozen=True)
class Real:
    """The real training rows, which are the measure of what is drawn.

    images: (n, size, size, channels) uint8. labels: (n,) int32, -1 for none. classes: their names; empty for unlabelled data.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: list[str]

    @cached_property
    def classifier(self) -> Classifier:
        """Trained when it is first asked for.

        Raises:
            InputError: the rows have no labels of two classes.
        """
        from pipelines.tastes import classifier

        return classifier.train(self.images, self.labels, len(self.classes))


class Taste(BaseModel):
    """A taste's settings are its fields. Modules of tastes import nothing heavy at the top: settings are checked with them.

    of_labels: whether it judges an image by the class that was asked for, and not by the image alone.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    of_labels: ClassVar[bool] = False

    name: str

    def fit(self, real: Real) -> Likes:
        """Raises InputError where such rows give it nothing to go by."""
        raise NotImplementedError
