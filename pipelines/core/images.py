"""The pixels of one image: encoded bytes in, checked; uint8 arrays of the wanted size and channels out.

Our own limits are checked before Pillow decodes, and whatever it raises is a refusal, because its plugins raise nearly every
class of exception.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageFilter, ImageOps

from pipelines.core import png
from pipelines.core.formats import LFS_POINTER

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # never one that runs or includes things, as EPS does
FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # channels of an array -> Pillow's mode

# Signatures and their places: of formats that are read, and of others.
READ_SIGNATURES = ((png.SIGNATURE, 0), (b"\xff\xd8\xff", 0), (b"WEBP", 8), (b"GIF8", 0), (b"II*\0", 0), (b"MM\0*", 0))
OTHER_SIGNATURES = (
    (b"%PDF", 0), (b"%!PS", 0), (b"\xc5\xd0\xd3\xc6", 0), (b"\0\0\1\0", 0), (b"8BPS", 0), (b"ftyp", 4), (b"<svg", 0),
    (b"<?xml", 0), (b"\0\0\0\x0cjP  ", 0), (b"\xff\x4f\xff\x51", 0), (b"II+\0", 0), (b"MM\0+", 0), (b"icns", 0),
    (b"DDS ", 0), (b"gimp xcf", 0), (b"qoif", 0),
)  # fmt: skip
ARCHIVE_SIGNATURES = (
    (b"PK\3\4", 0), (b"\x1f\x8b", 0), (b"BZh", 0), (b"\xfd7zXZ\0", 0), (b"\x28\xb5\x2f\xfd", 0), (b"7z\xbc\xaf\x27\x1c", 0),
    (b"Rar!\x1a\7", 0), (b"ustar", 257),
)  # fmt: skip
TIFF_TILE = (322, 323)  # the tags of a tile's width and height


class Refusal(Exception):  # noqa: N818  (no mistake of anybody's)
    """Raised where an image is refused. The reason is one of a few short phrases, by which reports count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """The largest image that is decoded: bytes of the file, pixels of its longer side, pixels in all."""

    max_bytes: int
    max_side: int
    max_pixels: int


def decode(data: bytes, limits: Limits | None = None) -> Image.Image:
    """The first frame of an encoded image, turned as its EXIF says, mode L, LA, RGB or RGBA.

    limits: what is refused before anything is decoded; None for images that were decoded under limits before.
    Raises Refusal: zero bytes, too many bytes, side too long, too many pixels, not an image, unsupported format, archive,
    git-lfs pointer, truncated or damaged.
    """
    refuse_early(data, limits)
    if (pixels := png.decode(data)) is not None:
        return from_array(pixels)
    with silent_stderr() if data[:2] in (b"II", b"MM") else contextlib.nullcontext(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = open_image(data)
        if limits:
            refuse_large(image.size, limits)
            refuse_large(tile_size(image), limits)
        if image.format == "PNG" and not png.is_whole(data):
            raise Refusal("truncated or damaged")
        try:
            image.load()
            if image.format == "PNG":
                scale_transparent_colour(image, depth=data[24])
            return to_common_mode(orient(image))
        except Refusal:
            raise
        except Exception:
            raise Refusal("truncated or damaged") from None


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Silence on stderr, where decoders of TIFF write past Python's warnings."""
    before = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(null)


def open_image(data: bytes) -> Image.Image:
    """Pillow's lazy image: header read, nothing decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Refusal("too many pixels") from None
    except Exception:
        raise Refusal(refusal_reason(data)) from None
    if min(image.size) < 1:
        raise Refusal("truncated or damaged")
    return image


def refusal_reason(data: bytes) -> str:
    """The reason why Pillow could not open an image."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if any(data.startswith(signature, place) for signature, place in READ_SIGNATURES):
        return "truncated or damaged"
    if data.startswith(LFS_POINTER):
        return "git-lfs pointer"
    if is_archive(data):
        return "archive"
    if any(start.startswith(signature, place) for signature, place in OTHER_SIGNATURES) or b"<svg" in start:
        return "unsupported format"
    return "not an image"


def is_archive(data: bytes) -> bool:
    return any(data.startswith(signature, place) for signature, place in ARCHIVE_SIGNATURES)


def refuse_early(data: bytes, limits: Limits | None) -> None:
    """Refuse by length and header, before any decoder sees the image."""
    if not data:
        raise Refusal("zero bytes")
    if limits and len(data) > limits.max_bytes:
        raise Refusal("archive" if is_archive(data) else "too many bytes")
    if limits and (size := header_size(data)):
        refuse_large(size, limits)


def refuse_large(size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.max_pixels:
        raise Refusal("too many pixels")
    if max(size) > limits.max_side:
        raise Refusal("side too long")


def header_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) by the headers of PNG and WebP alone: on opening a WebP, Pillow takes memory for all of it."""
    if data[:8] == png.SIGNATURE and len(data) >= 24:
        return struct.unpack(">II", data[16:24])
    if data[8:12] == b"WEBP" and len(data) >= 30:
        if data[12:16] == b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
        if data[12:16] == b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF
    return None


def tile_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of a TIFF's tiles, for which libtiff takes memory whatever the image's own size; else (0, 0)."""
    tags = getattr(image, "tag_v2", {})
    width, height = (tags.get(tag, 0) for tag in TIFF_TILE)
    return (width, height) if isinstance(width, int) and isinstance(height, int) else (0, 0)


def scale_transparent_colour(image: Image.Image, depth: int) -> None:
    """Bring a PNG's transparent colour to the range of the pixels: Pillow leaves it in the file's bits a sample.

    16-bit grey keeps its bits. 16-bit colour is cut to its upper 8 bits by Pillow itself, and so is its transparent colour.
    """
    colour = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int):
        most = 2**depth - 1
        image.info["transparency"] = (colour & most) * 255 // most
    elif image.mode == "RGB" and isinstance(colour, tuple):
        image.info["transparency"] = tuple(value >> 8 if depth == 16 else value & 255 for value in colour)


def orient(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF says. EXIF that cannot be read is no reason to lose the image."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def to_common_mode(image: Image.Image) -> Image.Image:
    """Any mode of Pillow as L, LA, RGB or RGBA.

    16-bit greys 0..65535 become round(v / 257), which sends 65535 to 255; 32-bit integers are clipped to 16 bits first.
    Floats are 0..1 where none is above 1, else 0..255. (16-bit colour is cut to its upper 8 bits by Pillow itself.)
    """
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode in ("LA", "RGBA"):
        return image
    if image.mode.startswith("I"):
        grey = np.asarray(image)
        pixels = to_uint8(np.clip(grey, 0, 65535).astype(np.uint16))
        if isinstance(transparent := image.info.get("transparency"), int):
            pixels = np.dstack([pixels, to_uint8(grey != transparent)])
        return Image.fromarray(pixels)
    if image.mode == "F":
        return Image.fromarray(floats_to_uint8(np.asarray(image)))
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, lab_to_rgb())  # type: ignore[return-value]
    is_grey = image.mode in ("1", "L", "La")
    if image.has_transparency_data:
        return image.convert("LA" if is_grey else "RGBA")
    return image.convert("L" if is_grey else "RGB")


@functools.cache
def lab_to_rgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def to_uint8(array: np.ndarray) -> np.ndarray:
    """uint8, uint16 or bool of any shape -> uint8, the whole range to the whole range, rounded to nearest."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def floats_to_uint8(array: np.ndarray) -> np.ndarray:
    """Floats, 0..1 where none is above 1, else 0..255 -> uint8, rounded; what is outside is clipped, NaN is refused."""
    if not np.isfinite(array).all():
        raise Refusal("truncated or damaged")
    scale = 255.0 if array.size and array.max() <= 1 else 1.0
    return np.clip(np.rint(array * scale), 0, 255).astype(np.uint8)


def from_array(array: np.ndarray) -> Image.Image:
    """(h, w) or (h, w, 1..4) of uint8, uint16 or bool -> image of mode L, LA, RGB or RGBA."""
    pixels = to_uint8(array)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels))


def to_pixels(image: Image.Image | np.ndarray, channels: Literal[1, 3], background: str) -> np.ndarray:
    """(h, w, channels) uint8, 0..255; what is transparent shows `background`, "#rrggbb"; grey by ITU-R 601 luma.

    image: of any mode, or an array as `from_array` takes it.
    """
    if isinstance(image, np.ndarray):
        if image.ndim == 3 and image.shape[2] == channels and image.dtype == np.uint8:
            return image
        image = from_array(image)
    image = to_common_mode(image)
    if image.mode in ("LA", "RGBA"):
        flat = Image.new("RGB", image.size, background)
        flat.paste(image.convert("RGB"), mask=image.getchannel("A"))
        image = flat
    pixels = np.asarray(image.convert(MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


def to_square(pixels: np.ndarray, size: int, fit: Literal["crop", "pad"], filter: str, background: str) -> np.ndarray:
    """(h, w, c) uint8 -> (size, size, c) uint8: the centre cut out or `background` put round, then resized."""
    height, width, channels = pixels.shape
    if height == width == size:
        return pixels
    if height != width:
        pixels = crop(pixels) if fit == "crop" else pad(pixels, background)
    if len(pixels) == size:
        return pixels
    resized = np.asarray(from_array(pixels).resize((size, size), FILTERS[filter]))
    return resized.reshape(size, size, channels)


def crop(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def pad(pixels: np.ndarray, background: str) -> np.ndarray:
    height, width, channels = pixels.shape
    side = max(height, width)
    square = np.empty((side, side, channels), np.uint8)
    square[:] = ImageColor.getcolor(background, MODES[channels])
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    return square


def denoise(pixels: np.ndarray) -> np.ndarray:
    """(h, w, c) uint8 -> the same shape, each value the median of its 3x3 neighbours, channel by channel."""
    return np.asarray(from_array(pixels).filter(ImageFilter.MedianFilter(3))).reshape(pixels.shape)


def decode_pixels(data: bytes, limits: Limits | None = None) -> np.ndarray:
    """As `decode`, but as (h, w, 1..4) uint8, and quick for a PNG that `png.encode` wrote."""
    refuse_early(data, limits)
    pixels = png.decode(data)
    if pixels is None:
        pixels = np.asarray(decode(data, limits))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def check_pixels(image: bytes | np.ndarray | None, limits: Limits, missing: str | None) -> np.ndarray:
    """(h, w, 1..4) uint8 of an image as a source has it; raises Refusal where it is too large, damaged, or None (`missing`)."""
    if image is None:
        raise Refusal(missing or "no image")
    if isinstance(image, bytes):
        return decode_pixels(image, limits)
    refuse_large((image.shape[1], image.shape[0]), limits)
    array = to_uint8(image)
    return array if array.ndim == 3 else array[:, :, None]


def has_more_frames(data: bytes) -> bool:
    """Whether an encoded image that `decode` takes has frames or pages beyond the first, the only one that is read."""
    if data.startswith(png.SIGNATURE):
        return b"acTL" in data[: data.find(b"IDAT")]
    if not data.startswith((b"GIF8", b"RIFF", b"II*\0", b"MM\0*")):
        return False
    with silent_stderr(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return bool(getattr(open_image(data), "is_animated", False))
        except Exception:
            return False  # of which the first frame was whole


def row_id(pixels: np.ndarray) -> str:
    """sha256 of the shape (h, w, c) and the uint8 pixels: the same picture has the same id, however it was encoded."""
    height, width, channels = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
    digest = hashlib.sha256(struct.pack("<III", height, width, channels))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
