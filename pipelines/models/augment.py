"""Augmentation for small data sets: images are mirrored, shifted, turned, partly blanked. None of it shows in generated images.

A GAN's discriminator sees generated images changed as real ones are, each kind of change with a probability of at most 0.8, so
that unchanged ones remain the likeliest (Karras et al. 2020, 2006.06676, section 2.2). Other families get the changes as an
input, and generate with none (Karras et al. 2022, 2206.00364, section 5).

Everything is differentiable in the images, and follows from numbers that come with the batch: no randomness in here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .lazy import keras, np, ops

NUMBERS = 9  # standard normal numbers that the changes of one image follow from
CHANGES = 8  # numbers that describe the changes of one image
MOST = 0.8  # probability

# Adaptive: the share of pairs in which the discriminator scores the real image higher, less that of the generated one,
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


def change(images: Any, numbers: Any, probability: Any, settings: Augmentation) -> tuple[Any, Any]:
    """The changed images, and the changes.

    Args:
        images: (batch, side, side, channels) float, -1..1. numbers: (batch, NUMBERS) float32, standard normal.
        probability: of each kind, a number or a scalar tensor.

    Returns:
        (batch, side, side, channels), and (batch, CHANGES) float32, all 0 where nothing was changed.
    """
    uniform = ops.unstack((1.0 + ops.erf(numbers / math.sqrt(2.0))) / 2.0, NUMBERS, axis=1)
    side = images.shape[1]
    flipped, shifted, turned, cut = (ops.cast(uniform[place] < probability, "float32") for place in (0, 1, 4, 6))
    # Mirrored half as often: an image and its mirror image are to be equally likely among those that are changed.
    mirror = flipped * ops.cast(uniform[0] < probability / 2, "float32") * float(settings.flip)
    right, down = (
        ops.round(shifted * (2 * uniform[place] - 1) * settings.shift * side) for place in (2, 3)
    )  # whole pixels: no blur
    angle = turned * (2 * uniform[5] - 1) * math.radians(settings.rotate)
    if settings.moves:
        images = resample(images, 1 - 2 * mirror, right, down, angle if settings.rotate else None)
    x, y = uniform[7] * side, uniform[8] * side
    if settings.cutout:
        images = images * (1.0 - cut[:, None, None, None] * square(x, y, settings.cutout * side, side))
    cut = cut * float(settings.cutout > 0)
    turn = ops.sin(angle), 1 - ops.cos(angle)
    changes = [mirror, right / side, down / side, *turn, cut, cut * x / side, cut * y / side]
    return images, ops.stack(changes, axis=1)


def no_changes(images: Any) -> Any:
    """The changes for images that are not augmented: zeros."""
    return ops.zeros((ops.shape(images)[0], CHANGES))


def resample(images: Any, sign: Any, right: Any, down: Any, angle: Any) -> Any:
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
    positions = ops.cast(reflect(rows, side) * side + reflect(columns, side), "int32")
    flat = ops.reshape(images, (-1, side * side, channels))
    found = ops.take_along_axis(flat, ops.reshape(positions, (-1, side * side, 1)), axis=1)
    return ops.reshape(found, (-1, side, side, channels))


def reflect(place: Any, side: int) -> Any:
    """Reflected at the edges, whose pixels come once."""
    last = side - 1
    return ops.clip(last - ops.absolute(last - ops.absolute(place)), 0, last)


def square(x: Any, y: Any, size: float, side: int) -> Any:
    """(batch, side, side, 1): 1 inside the square whose centre is (x, y), both (batch,)."""
    centres = np.arange(side, dtype=np.float32) + 0.5
    columns, rows = (ops.cast(ops.absolute(centres - middle[:, None]) <= size / 2, "float32") for middle in (x, y))
    return rows[:, :, None, None] * columns[:, None, :, None]


def adapt(probability: Any, real_score: Any, fake_score: Any) -> Any:
    """The probability after another batch: larger where the discriminator has memorised the rows, else smaller."""
    overfit = ops.mean(ops.sign(real_score - fake_score))
    step = ops.cast(ops.shape(real_score)[0], "float32") / PATIENCE
    return ops.clip(probability + ops.sign(overfit - TARGET) * step, 0.0, MOST)


def probability_variable() -> keras.Variable:
    """The adaptive probability, which a model keeps among its variables."""
    return keras.Variable(0.0, trainable=False, name="augment_probability", aggregation="mean")
