"""What guidance would show, reckoned by images that a version has generated once: how much people would like it, and how much
of the real images' variety it keeps.

Every generated image weighs as much as it would be shown. So nothing has to be generated for another model of what people like
or another temperature.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pipelines.core.numbers import HOTTEST
from pipelines.feedback.withheld import squared_distances
from pipelines.guidance.acceptance import PLAIN, acceptance
from pipelines.metrics.base import NEIGHBOURS
from pipelines.metrics.density_coverage import NEIGHBOURHOOD
from pipelines.scoring.approval import ApprovalModel

MOST_REAL = 5_000  # held-out rows whose coverage is reckoned
BLOCK = 500  # of them at once
AROUND = 10  # images
SHOWN = 1_000  # images by which they are reached
FEW = 20  # images of a class by which nothing is known of that class alone
HALVINGS = 10


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
    def surroundings(self) -> tuple[np.ndarray, np.ndarray]:
        """(m,) float64, the share of images within the ball of each real row, which reaches to its fifth neighbour; and (m, n)
        float32 of row sums 1, the images by which it is known how often images there are shown: those in the ball, or the
        AROUND nearest ones where there are fewer, because one or two alone would say too much."""
        real = self.real[np.random.default_rng(0).permutation(len(self.real))[:MOST_REAL]].astype(np.float64)
        images, k = self.vectors.astype(np.float64), min(NEIGHBOURS[NEIGHBOURHOOD], len(real) - 1)
        share, around = np.empty(len(real)), np.empty((len(real), len(images)), np.float32)
        for start in range(0, len(real), BLOCK):
            some = slice(start, start + BLOCK)
            among, _ = squared_distances(real[some], real)
            radii = np.partition(among, k, axis=1)[:, k]  # the nearest is the row itself
            distances, _ = squared_distances(real[some], images)
            share[some] = (distances <= radii[:, None]).mean(axis=1)
            least = np.partition(distances, min(AROUND, len(images)) - 1, axis=1)[:, min(AROUND, len(images)) - 1]
            around[some] = distances <= np.maximum(radii, least)[:, None]
        return share, around / around.sum(axis=1, keepdims=True)

    @cached_property
    def groups(self) -> np.ndarray:
        """(n,) int: images of one class are one group, those of classes with few images another."""
        if self.labels is None:
            return np.zeros(len(self.views), int)
        counts = np.bincount(self.labels)
        return np.where(counts[self.labels] >= FEW, self.labels + 1, 0)

    def means(self, accepted: np.ndarray) -> np.ndarray:
        """(n,) float64, of each image the mean of `accepted` (n,) over the images of its class."""
        groups = self.groups
        return (np.bincount(groups, accepted) / np.maximum(np.bincount(groups), 1))[groups]

    def mean_acceptance(self, accepted: np.ndarray, label: int) -> float:
        """The mean of `accepted` (n,) over the images of a class, or where those are few over all of such classes; of all for a
        class that no image is of, such as -1."""
        if self.labels is None or not (own := self.labels == label).any():
            return float(accepted.mean())
        return float(self.means(accepted)[own][0])

    def shares(self, accepted: np.ndarray) -> np.ndarray:
        """(n,) float64, of sum 1: how often each image would be shown. Images are asked for by class, so classes keep their
        shares."""
        return (PLAIN + (1 - PLAIN) * accepted / np.maximum(self.means(accepted), 1e-12)) / len(accepted)

    def coverage(self, shares: np.ndarray | None = None) -> float:
        """Share of real rows that SHOWN images are expected to reach, drawn with these shares (n,); by default equal ones."""
        near, around = self.surroundings
        # In float32, or NumPy would make a float64 copy of the large matrix each time.
        times = np.ones(len(near)) if shares is None else around @ (shares * len(shares)).astype(np.float32)
        return float((1 - (1 - np.minimum(near * times, 1)) ** SHOWN).mean())

    @cached_property
    def plain_coverage(self) -> float:
        """Without guidance."""
        return self.coverage()

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
        approval, enough = self.predicted(model), least * self.plain_coverage

        def keeps(temperature: float) -> bool:
            return self.coverage(self.shares(acceptance(approval, temperature, approval.max()))) >= enough

        if keeps(asked):
            return asked
        low, high = 1 / HOTTEST, 1 / asked  # by its inverse, in which coverage falls evenly
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if keeps(1 / middle) else (low, middle)
        return 1 / low
