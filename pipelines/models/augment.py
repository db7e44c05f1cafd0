"""Changes of images that let few of them teach more: mirrored, shifted, turned, partly blanked. None shows in what is drawn.

A GAN's discriminator sees drawn images changed as real ones are, each kind of change with a probability of at most 0.8, so that
unchanged ones remain the likeliest (Karras et al. 2020, 2006.06676, section 2.2). Other families are told what was
changed, and are asked for nothing changed when they draw (Karras et al. 2022, 2206.00364, section 5).

Everything is differentiable in the images, and follows from numbers that come with the batch: no randomness in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import ops

NUMBERS = 9  # standard normal numbers that the changes of one image follow from
TOLD = 8  # numbers that say what was changed
MOST = 0.8  # probability

# Adaptive: the share of pairs in which the discriminator scores the real image higher, less the share in which the drawn one,
# above which it knows the training rows by heart (2006.06676, section 3, of r_t for a relativistic loss).
TARGET = 0.6
PATIENCE = 100_000  # images, for the probability to go from 0 to 1


@dataclass(frozen=True)
class Augmentation:
    """flip: mirror left and right. shift: most, in sides. rotate: most, in degrees. cutout: a blanked square's side, in sides.

    probability: of each kind of change. adaptive: the probability follows from how well a GAN's discriminator knows the rows.
    """

    flip: bool = False
    shift: float = 0.0
    rotate: float = 0.0
    cutout: float = 0.0
    probability: float = 0.5
    adaptive: bool = False

    @property
    def moves(self) -> bool:
        return self.flip or self.shift > 0 or self.rotate > 0


def change(images: Any, numbers: Any, probability: Any, how: Augmentation) -> tuple[Any, Any]:
    """The changed images, and what was changed.

    Args:
        images: (batch, side, side, channels) float, -1..1. numbers: (batch, NUMBERS) float32, standard normal.
        probability: of each kind, a number or a scalar tensor.

    Returns:
        (batch, side, side, channels), and (batch, TOLD) float32, all 0 where nothing was changed.
    """
    uniform = ops.unstack((1.0 + ops.erf(numbers / math.sqrt(2.0))) / 2.0, NUMBERS, axis=1)
    side = images.shape[1]
    flipped, shifted, turned, cut = (ops.cast(uniform[place] < probability, "float32") for place in (0, 1, 4, 6))
    # Mirrored half as often: an image and its mirror image are to be equally likely among those that are changed.
    mirror = flipped * ops.cast(uniform[0] < probability / 2, "float32") * float(how.flip)
    right, down = (
        ops.round(shifted * (2 * uniform[place] - 1) * how.shift * side) for place in (2, 3)
    )  # whole pixels: no blur
    angle = turned * (2 * uniform[5] - 1) * math.radians(how.rotate)
    if how.moves:
        images = moved(images, 1 - 2 * mirror, right, down, angle if how.rotate else None)
    across, along = uniform[7] * side, uniform[8] * side
    if how.cutout:
        images = images * (1.0 - cut[:, None, None, None] * square(across, along, how.cutout * side, side))
    cut = cut * float(how.cutout > 0)
    told = [mirror, right / side, down / side, ops.sin(angle), 1 - ops.cos(angle), cut, cut * across / side, cut * along / side]
    return images, ops.stack(told, axis=1)


def moved(images: Any, sign: Any, right: Any, down: Any, angle: Any) -> Any:
    """Each pixel from where it was before: shifted after turned after mirrored. Beyond the edge lies the reflected image."""
    side = images.shape[1]
    middle = (side - 1) / 2
    rows, columns = (grid.astype(np.float32) - middle for grid in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    sign, right, down = (value[:, None, None] for value in (sign, right, down))
    x, y = columns - right, rows - down
    if angle is not None:
        cosine, sine = ops.cos(angle)[:, None, None], ops.sin(angle)[:, None, None]
        x, y = cosine * x + sine * y, cosine * y - sine * x
    x, y = sign * x + middle, y + middle
    if angle is None:
        return pixels(images, ops.round(y), ops.round(x))
    top, left = ops.floor(y), ops.floor(x)
    lower, righter = (y - top)[..., None], (x - left)[..., None]
    upper_row = pixels(images, top, left) * (1 - righter) + pixels(images, top, left + 1) * righter
    lower_row = pixels(images, top + 1, left) * (1 - righter) + pixels(images, top + 1, left + 1) * righter
    return upper_row * (1 - lower) + lower_row * lower


def pixels(images: Any, rows: Any, columns: Any) -> Any:
    """The pixels at whole rows and columns, both (batch, side, side) float."""
    side, channels = images.shape[1], images.shape[3]
    places = ops.cast(inside(rows, side) * side + inside(columns, side), "int32")
    flat = ops.reshape(images, (-1, side * side, channels))
    found = ops.take_along_axis(flat, ops.reshape(places, (-1, side * side, 1)), axis=1)
    return ops.reshape(found, (-1, side, side, channels))


def inside(place: Any, side: int) -> Any:
    """Reflected at the edges, whose pixels come once."""
    last = side - 1
    return ops.clip(last - ops.absolute(last - ops.absolute(place)), 0, last)


def square(across: Any, along: Any, size: float, side: int) -> Any:
    """(batch, side, side, 1): 1 inside the square about the middles `across` and `along`, both (batch,)."""
    centres = np.arange(side, dtype=np.float32) + 0.5
    columns, rows = (ops.cast(ops.absolute(centres - middle[:, None]) <= size / 2, "float32") for middle in (across, along))
    return rows[:, :, None, None] * columns[:, None, :, None]


def adapted(probability: Any, real_score: Any, fake_score: Any) -> Any:
    """The probability after another batch: larger where the discriminator knows the rows by heart, else smaller."""
    known = ops.mean(ops.sign(real_score - fake_score))
    step = ops.cast(ops.shape(real_score)[0], "float32") / PATIENCE
    return ops.clip(probability + ops.sign(known - TARGET) * step, 0.0, MOST)


def as_variable() -> keras.Variable:
    """The probability, as what a model keeps of it."""
    return keras.Variable(0.0, trainable=False, name="augment_probability", aggregation="mean")
