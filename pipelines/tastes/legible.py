"""legible: a clear image. It is liked when a classifier is sure that it is of the class asked for."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipelines.core.lazy import np
from pipelines.tastes.base import Likes, RealRows, Taste


class Legible(Taste):
    """The classifier's probability of the class asked for is above `confidence`."""

    of_labels: ClassVar[bool] = True

    name: Literal["legible"]
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9

    def fit(self, real: RealRows) -> Likes:
        classifier = real.classifier

        def likes(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
            return classifier.probabilities(images)[np.arange(len(images)), labels] > self.confidence

        return likes
