"""Disturbances: images spoiled in known ways, from which `domain` learns to see how well an image is made.

Each takes (n, size, size, channels) uint8 images and (n,) strengths from 0, hardly to be seen, to 1, and gives images of the
same shape and type. They are the faults that generative models are known for, and the distortions that judges of quality are
taught with (TID2013, Ponomarenko et al., 2015; KADIS-700k, Lin et al., 2019).
"""

from __future__ import annotations

from collections.abc import Callable

from pipelines.core.lazy import np

Disturbance = Callable[["np.ndarray", "np.ndarray", "np.random.Generator"], "np.ndarray"]


def blur(images: np.ndarray, strengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A Gaussian's, of 0.4 to 2.5 pixels: models trained by pixel errors blur."""
    from scipy.ndimage import gaussian_filter

    wide = images.astype(np.float32)
    deviations = 0.4 * (2.5 / 0.4) ** strengths
    return to_greys(np.stack([gaussian_filter(image, (d, d, 0)) for image, d in zip(wide, deviations, strict=True)]))


def noise(images: np.ndarray, strengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Of each pixel by itself, with a deviation of 5 to 60 greys, the same in all channels for a half of the images."""
    own = random.normal(size=images.shape).astype(np.float32)
    grey = random.random(len(images)) < 0.5
    own[grey] = own[grey][..., :1]
    return to_greys(images + per_image(5 * (60 / 5) ** strengths) * own)


def coarse(images: np.ndarray, strengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Fewer pixels: reduced to 75 to 20 % of the side, and enlarged again, smoothly or not."""
    from PIL import Image

    side = images.shape[1]
    found = np.empty_like(images)
    smooth = random.random(len(images)) < 0.5
    for i, strength in enumerate(strengths):
        small = max(2, round(side * 0.75 * (0.2 / 0.75) ** strength))
        back = Image.Resampling.BILINEAR if smooth[i] else Image.Resampling.NEAREST
        for c in range(images.shape[3]):
            picture = Image.fromarray(images[i, :, :, c]).resize((small, small), Image.Resampling.BOX)
            found[i, :, :, c] = np.asarray(picture.resize((side, side), back))
    return found


def blend(images: np.ndarray, strengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """With 8 to 50 % of another image: models draw the mean of two where they should choose one."""
    shares = per_image(0.08 + 0.42 * strengths)
    return to_greys((1 - shares) * images + shares * another(images, random))


def cut(images: np.ndarray, strengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """One side of a line belongs to another image (CutMix, Yun et al., 2019, with a line): parts that do not fit together."""
    place = np.linspace(-1, 1, images.shape[1])
    angles = random.uniform(0, 2 * np.pi, (len(images), 1, 1))
    across = np.cos(angles) * place[:, None] + np.sin(angles) * place
    mask = across > per_image(0.6 - 0.6 * strengths)[..., 0]
    return np.where(mask[..., None], another(images, random), images)


def warp(images: np.ndarray, strengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Smooth displacements of 3 to 15 % of the side (Simard et al., 2003): shapes that are not quite right."""
    side = images.shape[1]
    places = np.mgrid[:side, :side].astype(np.float32)
    reach = side * 0.03 * (0.15 / 0.03) ** strengths
    fields = smooth_fields(random, (len(images), 2), side) * reach.astype(np.float32)[:, None, None, None]
    places = np.clip(places + fields, 0, side - 1)
    low = np.minimum(places.astype(np.intp), side - 2)
    (down, right), (top, left) = np.moveaxis((places - low)[..., None], 1, 0), np.moveaxis(low, 1, 0)
    image = np.arange(len(images))[:, None, None]
    above = (1 - right) * images[image, top, left] + right * images[image, top, left + 1]
    below = (1 - right) * images[image, top + 1, left] + right * images[image, top + 1, left + 1]
    return to_greys((1 - down) * above + down * below)


def blotches(images: np.ndarray, strengths: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Smooth patches, brighter or darker by 10 to 100 greys, each channel by itself."""
    fields = np.moveaxis(smooth_fields(random, (len(images), images.shape[3]), images.shape[1]), 1, 3)
    return to_greys(images + per_image(10 * (100 / 10) ** strengths) * fields)


KINDS: dict[str, Disturbance] = {
    "blur": blur,
    "noise": noise,
    "coarse": coarse,
    "blend": blend,
    "cut": cut,
    "warp": warp,
    "blotches": blotches,
}


def another(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Another image for each, where there are two or more."""
    return np.roll(images, random.integers(1, max(2, len(images))), axis=0)


def smooth_fields(random: np.random.Generator, shape: tuple[int, ...], side: int) -> np.ndarray:
    """(*shape, side, side) float32 of deviation about 1: sums of Gaussian bumps, 3 to 6 a side, of random heights."""
    cells = int(random.integers(3, 7))
    gaps = np.linspace(0, cells - 1, side)[:, None] - np.arange(cells)
    bumps = np.exp(-2 * gaps**2)
    bumps /= np.sqrt((bumps**2).sum(axis=1, keepdims=True))
    return (bumps @ random.normal(size=(*shape, cells, cells)) @ bumps.T).astype(np.float32)


def per_image(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[:, None, None, None]


def to_greys(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
