"""The filter that withholds flagged images, and generated images that look just like one of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from pipelines.core import backend, images
from pipelines.core.form import Form
from pipelines.core.project import Project
from pipelines.features.base import Extractor
from pipelines.feedback import curated
from pipelines.scoring import benchmark
from pipelines.settings.schema import Params

MOST = 4_000  # real rows among which the usual distance of neighbours is measured
BLOCK = 500  # of them at once
ROUNDING = 1e-6  # of squared features: the same image is at no distance, on whatever device its features were computed


@dataclass(frozen=True)
class WithheldFilter:
    """vectors: (r, d) float64, features of the flagged images. reach: (r,) the distance from each in which no image is shown.
    extractor: None where nothing was flagged. form: in which images are compared."""

    vectors: np.ndarray
    reach: np.ndarray
    extractor: Extractor | None
    form: Form

    @classmethod
    def read(cls, project: Project, params: Params) -> Self:
        """The filter by the flagged images in data/curated. Where there are none this loads nothing, and lets every image pass.

        Raises InputError where what the stages write is damaged, or missing though something was flagged.
        """
        table = curated.read_table(project.curated, "reported") if project.curated.is_dir() else None
        if not table:
            return cls(np.zeros((0, 0)), np.zeros(0), None, params.form)
        backend.load()
        pinned, extractor = benchmark.read(project.reference)
        assert pinned.train is not None
        nearest = median_nearest_distance(pinned.train.vectors[:MOST])  # they lie in the order of their hashes
        reach = np.where(table["wide"].to_numpy(), params.feedback.report_reach * nearest, 0.0)
        empty = cls(np.zeros((0, 0)), np.zeros(0), extractor, params.form)
        vectors = empty.features([images.decode_pixels(png) for png in table["image"].to_pylist()])
        return cls(vectors, reach, extractor, params.form)

    def mask(self, generated: np.ndarray) -> np.ndarray:
        """(n,) bool: which of (n, height, width, channels) uint8 images must not be shown."""
        if self.extractor is None:
            return np.zeros(len(generated), bool)
        distances, sizes = squared_distances(self.features(list(generated)), self.vectors)
        return np.any(distances <= self.reach**2 + ROUNDING * sizes, axis=1)

    def features(self, pixels: list[np.ndarray]) -> np.ndarray:
        """(n, d) float64. Images of another size or with other channels are brought to the project's form first."""
        assert self.extractor is not None
        fitting = [image if image.shape == self.form.shape else self.form.apply(image) for image in pixels]
        return self.extractor.extract(np.stack(fitting)).vectors.astype(np.float64)


def median_nearest_distance(vectors: np.ndarray) -> float:
    """The median distance from a row of (n, d) to its nearest other one; 0 where there is no other."""
    rows = vectors.astype(np.float64)
    if len(rows) < 2:
        return 0.0
    nearest = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        distances, _ = squared_distances(rows[start : start + BLOCK], rows)
        distances[np.arange(len(distances)), start + np.arange(len(distances))] = np.inf
        nearest[start : start + BLOCK] = distances.min(axis=1)
    return float(np.sqrt(np.maximum(np.median(nearest), 0)))


def squared_distances(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(p, q) float64: squared distances between rows of both, and what their rounding is measured by."""
    sizes = np.vecdot(a, a)[:, None] + np.vecdot(b, b)
    return sizes - 2 * (a @ b.T), sizes
