"""The form that images are brought to: one size, one number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.core import images


@dataclass(frozen=True)
class Form:
    """background: "#rrggbb", shown through transparent pixels and around images that are padded.
    fit: how an image becomes a square. filter: how it is resized, one of `images.FILTERS`."""

    size: int
    channels: Literal[1, 3]
    background: str = "#000000"
    fit: Literal["crop", "pad"] = "crop"
    filter: str = "bicubic"
    denoise: Literal["none", "median"] = "none"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, self.channels

    def apply(self, pixels: np.ndarray) -> np.ndarray:
        """(h, w, 1..4) uint8 -> `shape`, uint8."""
        pixels = images.to_pixels(pixels, self.channels, self.background)
        if self.denoise == "median":
            pixels = images.denoise(pixels)
        return images.to_square(pixels, self.size, self.fit, self.filter, self.background)
