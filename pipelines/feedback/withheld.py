"""What people have reported is not drawn again, nor anything that looks just like it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from pipelines.core import backend, form, images, paths
from pipelines.features.base import Extractor
from pipelines.feedback import curated
from pipelines.scoring import benchmark
from pipelines.settings.schema import Params

MOST = 4_000  # real rows among which the usual distance of neighbours is measured
BLOCK = 500  # of them at once
ROUNDING = 1e-6  # of squared features: the same image is at no distance, on whatever device its features were computed


@dataclass(frozen=True)
class Filter:
    """vectors: (r, d) float64, features of what was reported. reach: (r,) the distance from each within which nothing is shown.
    extractor: None where nothing was reported."""

    vectors: np.ndarray
    reach: np.ndarray
    extractor: Extractor | None
    params: Params

    @classmethod
    def read(cls, params: Params, folder: Path = paths.CURATED, reference: Path = paths.REFERENCE) -> Self:
        """By the reports in data/curated. Where there are none this loads nothing, and lets everything pass.

        Raises:
            InputError: what the stages write is damaged, or missing though something was reported.
        """
        table = curated.read_table(folder, "reported") if folder.is_dir() else None
        if not table:
            return cls(np.zeros((0, 0)), np.zeros(0), None, params)
        backend.load()
        pinned, extractor = benchmark.read(reference)
        assert pinned.train is not None
        reach = params.feedback.report_reach * usual(pinned.train.vectors[:MOST])  # they lie in the order of their hashes
        empty = cls(np.zeros((0, 0)), np.zeros(0), extractor, params)
        vectors = empty.features([images.decode_png(png) for png in table["image"].to_pylist()])
        return cls(vectors, np.where(table["wide"].to_numpy(), reach, 0.0), extractor, params)

    def withheld(self, drawn: np.ndarray) -> np.ndarray:
        """(n,) bool: which of (n, height, width, channels) uint8 images must not be shown."""
        if self.extractor is None:
            return np.zeros(len(drawn), bool)
        gaps, sizes = apart(self.features(list(drawn)), self.vectors)
        return np.any(gaps <= self.reach**2 + ROUNDING * sizes, axis=1)

    def features(self, shown: list[np.ndarray]) -> np.ndarray:
        """(n, d) float64. A version that draws another size or other channels is looked at in the project's form."""
        assert self.extractor is not None
        look = self.params.image
        wanted = (look.size, look.size, look.channels)
        fitting = [image if image.shape == wanted else form.normalise(image, self.params) for image in shown]
        return self.extractor.extract(np.stack(fitting)).vectors.astype(np.float64)


def usual(vectors: np.ndarray) -> float:
    """The median distance from a row of (n, d) to its nearest other one; 0 where there is no other."""
    rows = vectors.astype(np.float64)
    if len(rows) < 2:
        return 0.0
    nearest = np.empty(len(rows))
    for start in range(0, len(rows), BLOCK):
        gaps, _ = apart(rows[start : start + BLOCK], rows)
        gaps[np.arange(len(gaps)), start + np.arange(len(gaps))] = np.inf
        nearest[start : start + BLOCK] = gaps.min(axis=1)
    return float(np.sqrt(np.maximum(np.median(nearest), 0)))


def apart(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(p, q) float64: squared distances between rows of both, and what their rounding is measured by."""
    sizes = np.vecdot(a, a)[:, None] + np.vecdot(b, b)
    return sizes - 2 * (a @ b.T), sizes
