"""The one form that all rows of data/clean have, and all that are added to them."""

from __future__ import annotations

import numpy as np

from pipelines.core import images
from pipelines.settings.schema import Params


def normalise(pixels: np.ndarray, params: Params) -> np.ndarray:
    """(h, w, 1..4) uint8 -> (size, size, channels) uint8."""
    look = params.image
    pixels = images.to_pixels(pixels, look.channels, look.background)
    if params.clean.denoise == "median":
        pixels = images.denoise(pixels)
    return images.to_square(pixels, look.size, params.clean.fit, params.clean.filter, look.background)
