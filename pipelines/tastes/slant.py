"""slant: to which side strokes lean. An image is liked whose shear angle is beyond the real rows' median.

Shearing an image by s moves a point from x to x + s y, which changes its central moments (Hu, "Visual pattern recognition by
moment invariants", 1962, equations 2 and 3) to mu11 + s mu02. So an upright shape, mu11 = 0, leans by the angle
arctan(mu11 / mu02) afterwards; the deskewing of handwritten digits takes it out again in the same way.
"""

from __future__ import annotations

from typing import Literal

from pipelines.core.lazy import np
from pipelines.tastes import ink
from pipelines.tastes.base import Likes, RealRows, Taste


class Slant(Taste):
    name: Literal["slant"]
    prefer: Literal["right", "left"] = "right"  # the upper end

    def fit(self, real: RealRows) -> Likes:
        return ink.compare_with_median(angles, real, self.prefer == "right")


def angles(images: np.ndarray) -> np.ndarray:
    """(n,) float64, radians; positive where the upper end leans to the right; 0 without any height of ink."""
    amount = ink.amount(images).astype(np.float64)
    total = np.maximum(amount.sum(axis=(1, 2)), 1e-9)
    up, across = np.arange(amount.shape[1], 0.0, -1.0), np.arange(amount.shape[2], dtype=np.float64)
    rows, columns = amount.sum(axis=2), amount.sum(axis=1)
    mean_up, mean_across = rows @ up / total, columns @ across / total
    mu11 = np.einsum("nyx,y,x->n", amount, up, across) / total - mean_up * mean_across
    mu02 = rows @ up**2 / total - mean_up**2
    return np.arctan2(mu11, np.maximum(mu02, 1e-9))
