"""The contract of a taste: which images a simulated rater who has it likes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict

from pipelines.core.lazy import np
from pipelines.tastes.classifier import Classifier, train


class Likes(Protocol):
    def __call__(self, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(n,) bool from (n, size, size, channels) uint8 and the labels asked for, (n,) int32."""


@dataclass(frozen=True)
class RealRows:
    """The real training rows, which generated images are measured by.

    images: (n, size, size, channels) uint8. labels: (n,) int32, -1 for none. classes: their names; empty for unlabelled data.
    """

    images: np.ndarray
    labels: np.ndarray
    classes: list[str]

    @cached_property
    def classifier(self) -> Classifier:
        """Trained at its first use.

        Raises:
            InputError: the rows have no labels of two classes.
        """
        return train(self.images, self.labels, len(self.classes))


class Taste(BaseModel):
    """A taste's settings are its fields. Modules of tastes import nothing heavy at the top: settings are checked with them.

    of_labels: whether it judges an image by the class asked for, too, and not by the image alone.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    of_labels: ClassVar[bool] = False

    name: str

    def fit(self, real: RealRows) -> Likes:
        """What decides whether an image is liked.

        Raises:
            InputError: such rows give it nothing to go by.
        """
        raise NotImplementedError
