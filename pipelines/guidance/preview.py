"""What guidance would show, reckoned by images that a version has generated once: how much people would like it, and how much
of the real images' variety it keeps.

Every generated image weighs as much as it would be shown, so nothing has to be generated for another model of what people like
or another temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.feedback.withheld import squared_distances
from pipelines.guidance.acceptance import PLAIN, acceptance
from pipelines.metrics.base import NEIGHBOURS
from pipelines.metrics.density_coverage import NEIGHBOURHOOD
from pipelines.scoring.approval import ApprovalModel

MOST_REAL = 2_000  # held-out rows whose coverage is reckoned
SHOWN = 1_000  # images by which they are reached
FEW = 20  # images of a class by which nothing is known of that class alone
HALVINGS = 20
HOTTEST = 100.0  # a temperature at which hardly any image is not accepted


@dataclass(frozen=True)
class Preview:
    """n images of one version.

    views: (n, v) float32. thumbnails: (n, t) float32. labels: (n,) int32, None for a model that takes none.
    vectors: (n, d) float32, their features. real: (m, d) float32, the features of held-out rows.
    """

    views: np.ndarray
    thumbnails: np.ndarray
    labels: np.ndarray | None
    vectors: np.ndarray
    real: np.ndarray

    @cached_property
    def reaches(self) -> np.ndarray:
        """(m, n) float32, 1 where an image lies within the ball of a real row, which reaches to its fifth neighbour."""
        real = self.real[np.random.default_rng(0).permutation(len(self.real))[:MOST_REAL]].astype(np.float64)
        among, _ = squared_distances(real, real)
        k = min(NEIGHBOURS[NEIGHBOURHOOD], len(real) - 1)
        radii = np.partition(among, k, axis=1)[:, k]  # the nearest is the row itself
        distances, _ = squared_distances(real, self.vectors.astype(np.float64))
        return (distances <= radii[:, None]).astype(np.float32)

    def groups(self) -> np.ndarray:
        """(n,) int: images of one class are one group, those of classes with few images another."""
        if self.labels is None:
            return np.zeros(len(self.views), int)
        counts = np.bincount(self.labels)
        return np.where(counts[self.labels] >= FEW, self.labels + 1, 0)

    def means(self, accepted: np.ndarray) -> np.ndarray:
        """(n,) float64, of each image the mean of `accepted` (n,) over the images of its class."""
        groups = self.groups()
        return (np.bincount(groups, accepted) / np.maximum(np.bincount(groups), 1))[groups]

    def mean_acceptance(self, accepted: np.ndarray, label: int | None) -> float:
        """The mean of `accepted` (n,) over the images of a class; of all, where there are few of that one."""
        if label is None or self.labels is None or (self.labels == label).sum() < FEW:
            return float(accepted.mean())
        return float(accepted[self.labels == label].mean())

    def shares(self, accepted: np.ndarray) -> np.ndarray:
        """(n,) float64, of sum 1: how often each image would be shown. Images are asked for by class, so classes keep their
        shares."""
        return (PLAIN + (1 - PLAIN) * accepted / np.maximum(self.means(accepted), 1e-12)) / len(accepted)

    def coverage(self, shares: np.ndarray) -> float:
        """Share of real rows that SHOWN images, drawn with these shares (n,), are expected to reach."""
        return float((1 - (1 - np.minimum(self.reaches @ shares, 1)) ** SHOWN).mean())

    def liked(self, model: ApprovalModel, shares: np.ndarray | None = None) -> float:
        """The share of shown images that people would like by `model`; of all images without `shares`."""
        return float(np.average(self.predicted(model), weights=shares))

    def contradicts(self, second: ApprovalModel, shares: np.ndarray) -> bool:
        """Whether people would like less of what is shown than of all images, by a second model, one of thumbnails."""
        approval = second.predict(self.thumbnails)
        return bool(np.average(approval, weights=shares) < approval.mean())

    def predicted(self, model: ApprovalModel) -> np.ndarray:
        """(n,) float64, how likely people like each image."""
        return model.predict(self.views)

    def coolest(self, model: ApprovalModel, asked: float, least: float) -> float:
        """The temperature nearest to the one that is asked for, and not below it, at which at least the share `least` of the
        coverage without guidance is kept."""
        approval = self.predicted(model)
        enough = least * self.coverage(np.full(len(approval), 1 / len(approval)))

        def keeps(temperature: float) -> bool:
            return self.coverage(self.shares(acceptance(approval, temperature, approval.max()))) >= enough

        if keeps(asked):
            return asked
        low, high = 1 / HOTTEST, 1 / asked  # by its inverse, in which coverage falls evenly
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if keeps(1 / middle) else (low, middle)
        return 1 / low
