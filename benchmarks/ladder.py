"""A ladder of disturbances: ways to spoil images, each in four strengths, with which a yardstick of image quality is tested.

Three groups: what people see at a glance, the other kinds that the extractor `domain` is taught, and kinds that it is
never taught. All are written apart from those that it is taught, so that it is not tested by its own lesson.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from scipy import ndimage
from sklearn.decomposition import PCA

from pipelines.core import grids

Group = Literal["visible", "taught", "never taught"]
# (n, size, size, channels) uint8 images, a strength, and what is random -> images of the same shape and type.
Disturb = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]

PATCH = 4  # pixels a side of a patch that `shuffle` moves
SMOOTH = 1 / 8  # of the side: how far a smooth field reaches, as the standard deviation of a Gaussian


@dataclass(frozen=True)
class Kind:
    """strengths: from slight to strong, in `unit`. reference: the one by which the kind is judged, a member of `strengths`."""

    group: Group
    disturb: Disturb
    strengths: tuple[float, float, float, float]
    reference: float
    unit: str

    def __call__(self, images: np.ndarray, strength: float, seed: int = 0) -> np.ndarray:
        """The disturbed images; what is random is the same for every strength, so that a ladder differs by strength alone."""
        return self.disturb(images, strength, np.random.default_rng(seed))


def blur(images: np.ndarray, pixels: float, random: np.random.Generator) -> np.ndarray:
    return to_pixels(smooth(images, pixels))


def noise(images: np.ndarray, greys: float, random: np.random.Generator) -> np.ndarray:
    return to_pixels(images + greys * random.standard_normal(images.shape))


def blend(images: np.ndarray, percent: float, random: np.random.Generator) -> np.ndarray:
    """So much of another image in each."""
    share = percent / 100
    return to_pixels((1 - share) * images + share * images[partners(len(images), random)])


def join(images: np.ndarray, percent: float, random: np.random.Generator) -> np.ndarray:
    """So much of each image, from one of its four borders on, is another image's."""
    width = max(1, round(percent / 100 * images.shape[1]))
    joined, others = images.copy(), images[partners(len(images), random)]
    borders = (np.s_[:, :width], np.s_[:, -width:], np.s_[:, :, :width], np.s_[:, :, -width:])
    chosen = random.integers(len(borders), size=len(images))
    for number, border in enumerate(borders):
        part = joined[chosen == number]
        part[border] = others[chosen == number][border]
        joined[chosen == number] = part
    return joined


def coarsen(images: np.ndarray, pixels: float, random: np.random.Generator) -> np.ndarray:
    """Pixels of this side, each the mean of what it covers."""
    size = images.shape[1]
    small = (max(1, round(size / pixels)),) * 2
    return each(images, lambda image: image.resize(small, Image.Resampling.BOX).resize((size, size), Image.Resampling.NEAREST))


def warp(images: np.ndarray, percent: float, random: np.random.Generator) -> np.ndarray:
    """Each pixel moved by so much of the side on average (root mean square), its neighbours nearly alike."""
    count, size, _, channels = images.shape
    moves = percent / 100 * size / np.sqrt(2) * smooth_field((count, size, size, 2), random)
    places = np.moveaxis(np.indices((size, size))[:, None] + np.moveaxis(moves, -1, 0), 0, 1)  # (n, 2, size, size)
    warped = np.empty(images.shape)
    for image, out, place in zip(images, warped, places, strict=True):
        for channel in range(channels):
            ndimage.map_coordinates(image[..., channel].astype(float), place, out[..., channel], mode="nearest")
    return to_pixels(warped)


def blotch(images: np.ndarray, greys: float, random: np.random.Generator) -> np.ndarray:
    """Smoothly lighter here and darker there, by so many greys (root mean square)."""
    return to_pixels(images + greys * smooth_field((*images.shape[:3], 1), random))


def keep_components(images: np.ndarray, components: float, random: np.random.Generator) -> np.ndarray:
    """What so many principal components of these images keep of them."""
    rows = images.reshape(len(images), -1).astype(np.float32)
    analysis = PCA(min(int(components), *rows.shape), svd_solver="randomized", random_state=0).fit(rows)
    return to_pixels(analysis.inverse_transform(analysis.transform(rows)).reshape(images.shape))


def shuffle(images: np.ndarray, percent: float, random: np.random.Generator) -> np.ndarray:
    """So many of an image's patches of 4x4 pixels in each other's places, others in every image."""
    count, size, _, channels = images.shape
    side = size // PATCH
    moved = max(2, round(percent / 100 * side**2))
    blocks = images[:, : side * PATCH, : side * PATCH].reshape(count, side, PATCH, side, PATCH, channels)
    patches = blocks.swapaxes(2, 3).reshape(count, side**2, PATCH, PATCH, channels)
    shuffled = patches.copy()
    for row in range(count):
        chosen = random.permutation(side**2)[:moved]
        shuffled[row, chosen] = patches[row, np.roll(chosen, 1)]  # none stays where it was
    found = images.copy()
    whole = shuffled.reshape(count, side, side, PATCH, PATCH, channels).swapaxes(2, 3)
    found[:, : side * PATCH, : side * PATCH] = whole.reshape(count, side * PATCH, side * PATCH, channels)
    return found


def posterise(images: np.ndarray, greys: float, random: np.random.Generator) -> np.ndarray:
    """So many greys a channel."""
    steps = greys - 1
    return to_pixels(np.rint(images / 255 * steps) * (255 / steps))


def salt_and_pepper(images: np.ndarray, percent: float, random: np.random.Generator) -> np.ndarray:
    """So many of the pixels black or white, as many of both."""
    chance = random.random((*images.shape[:3], 1))
    share = percent / 100
    return np.where(chance < share / 2, 0, np.where(chance < share, 255, images)).astype(np.uint8)


def compress(images: np.ndarray, quality: float, random: np.random.Generator) -> np.ndarray:
    """As JPEG of this quality, 1 to 95, keeps them."""

    def through_jpeg(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(quality))
        return Image.open(file)

    return each(images, through_jpeg)


def checker(images: np.ndarray, greys: float, random: np.random.Generator) -> np.ndarray:
    """Every second pixel lighter and the others darker, as up-sampling without a filter leaves it (Odena et al., 2016)."""
    signs: np.ndarray = 1 - 2 * (np.indices(images.shape[1:3]).sum(axis=0) % 2)
    return to_pixels(images + greys * signs[..., None])


def erase(images: np.ndarray, percent: float, random: np.random.Generator) -> np.ndarray:
    """A square somewhere, its side so much of the image's, in the image's mean colour."""
    size = images.shape[1]
    side = max(1, round(percent / 100 * size))
    top, left = random.integers(size - side + 1, size=(2, len(images), 1, 1))
    rows, columns = np.indices((size, size))
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return to_pixels(np.where(inside[..., None], images.mean(axis=(1, 2), keepdims=True), images))


def sharpen(images: np.ndarray, times: float, random: np.random.Generator) -> np.ndarray:
    """What a blur of 1 pixel takes away, added so many times: edges with a rim of the opposite brightness."""
    return to_pixels(images + times * (images - smooth(images, 1.0)))


def fade(images: np.ndarray, percent: float, random: np.random.Generator) -> np.ndarray:
    """So much of the contrast gone, towards the image's mean colour."""
    share = percent / 100
    return to_pixels((1 - share) * images + share * images.mean(axis=(1, 2), keepdims=True))


KINDS = {
    "blur": Kind("visible", blur, (0.5, 0.75, 1, 1.5), 1, "pixels"),
    "noise": Kind("visible", noise, (8, 15, 30, 60), 30, "greys"),
    "blend": Kind("visible", blend, (10, 20, 30, 45), 30, "% of another image"),
    "halves": Kind("visible", join, (12, 25, 37, 50), 50, "% another image's"),
    "coarse": Kind("taught", coarsen, (2, 3, 4, 6), 2, "pixels a side"),
    "warp": Kind("taught", warp, (4, 6, 9, 13), 6, "% of the side"),
    "blotches": Kind("taught", blotch, (10, 20, 40, 60), 40, "greys"),
    "components": Kind("never taught", keep_components, (40, 30, 20, 10), 20, "principal components"),
    "patches": Kind("never taught", shuffle, (15, 30, 60, 100), 100, "% of patches shuffled"),
    "greys": Kind("never taught", posterise, (6, 4, 3, 2), 3, "a channel"),
    "salt and pepper": Kind("never taught", salt_and_pepper, (0.5, 1, 2, 4), 2, "% of pixels"),
    "JPEG": Kind("never taught", compress, (30, 20, 10, 5), 10, "quality"),
    "checkerboard": Kind("never taught", checker, (4, 8, 15, 30), 15, "greys"),
    "erased square": Kind("never taught", erase, (12, 18, 25, 38), 25, "% of the side"),
    "over-sharpened": Kind("never taught", sharpen, (0.5, 1, 2, 4), 2, "times a blur's loss"),
    "contrast": Kind("never taught", fade, (15, 30, 50, 70), 50, "% gone"),
}


def sheet(images: np.ndarray, examples: int = 2) -> Image.Image:
    """A picture of all kinds, one a row: each of the first `examples` images as it is and in the four strengths."""
    columns = []
    for kind in KINDS.values():
        steps = [images, *(kind(images, strength) for strength in kind.strengths)]
        columns += [step[number] for number in range(examples) for step in steps]
    return grids.grid(np.stack(columns), examples * 5, list(KINDS))


def partners(count: int, random: np.random.Generator) -> np.ndarray:
    """(count,) int: for each row another one, each once."""
    order = random.permutation(count)
    found = np.empty(count, int)
    found[order] = np.roll(order, 1)
    return found


def smooth(images: np.ndarray, pixels: float) -> np.ndarray:
    """float64, blurred by a Gaussian of this standard deviation."""
    return ndimage.gaussian_filter(images.astype(np.float64), (0, pixels, pixels, 0), mode="nearest")


def smooth_field(shape: tuple[int, int, int, int], random: np.random.Generator) -> np.ndarray:
    """Smooth at random: (n, size, size, k) float64, mean 0 and variance 1 over all."""
    field = ndimage.gaussian_filter(random.standard_normal(shape), (0, SMOOTH * shape[1], SMOOTH * shape[1], 0), mode="wrap")
    return field / field.std()


def each(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """Each image through Pillow."""
    grey = images.shape[-1] == 1
    changed = [np.asarray(change(Image.fromarray(image[..., 0] if grey else image))) for image in images]
    return np.stack(changed).reshape(images.shape)


def to_pixels(images: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(images, 0, 255)).astype(np.uint8)
