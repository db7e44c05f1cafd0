"""The pixels of one image: encoded bytes in, checked; uint8 arrays of the wanted size and channels out.

Pillow is called with our own limits before it decodes, and whatever it raises is a refusal: its plugins raise nearly
every class of exception there is.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import os
import struct
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageFilter, ImageOps

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

PNG = b"\x89PNG\r\n\x1a\n"
# Signatures and their places.
OURS = ((PNG, 0), (b"\xff\xd8\xff", 0), (b"WEBP", 8), (b"GIF8", 0), (b"II*\0", 0), (b"MM\0*", 0))
THEIRS = (
    (b"%PDF", 0), (b"%!PS", 0), (b"\xc5\xd0\xd3\xc6", 0), (b"\0\0\1\0", 0), (b"8BPS", 0), (b"ftyp", 4), (b"<svg", 0),
    (b"<?xml", 0), (b"\0\0\0\x0cjP  ", 0), (b"\xff\x4f\xff\x51", 0), (b"II+\0", 0), (b"MM\0+", 0), (b"icns", 0),
    (b"DDS ", 0), (b"gimp xcf", 0), (b"qoif", 0),
)  # fmt: skip
TIFF_TILE = (322, 323)  # the tags of a tile's width and height


class Refusal(Exception):  # noqa: N818  (no mistake of anybody's)
    """This image is not taken. The reason is one of a few short phrases, which reports count by."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What is decoded at all: bytes of the file, pixels of its longer side, pixels in all."""

    max_bytes: int
    max_side: int
    max_pixels: int


def decode(data: bytes, limits: Limits | None = None) -> Image.Image:
    """The first frame of an encoded image, turned as its EXIF says, mode L, LA, RGB or RGBA.

    Args:
        limits: what is refused before anything is decoded; None for images that were decoded under limits before.

    Raises:
        Refusal: zero bytes, too many bytes, side too long, too many pixels, not an image, unsupported format,
            truncated or damaged.
    """
    refuse_unread(data, limits)
    if (pixels := plain_png(data)) is not None:
        return from_array(pixels)
    with silence() if data[:2] in (b"II", b"MM") else contextlib.nullcontext(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = open_image(data)
        if limits:
            refuse_large(image.size, limits)
            refuse_large(tile_size(image), limits)
        if image.format == "PNG":
            check_png(data)
        try:
            image.load()
            return normal(turned(image))
        except Refusal:
            raise
        except Exception:
            raise Refusal("truncated or damaged") from None


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing on stderr: decoders of TIFF write there past Python's warnings."""
    before = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


def open_image(data: bytes) -> Image.Image:
    """Pillow's lazy image: header read, nothing decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError:
        raise Refusal("too many pixels") from None
    except Exception:
        raise Refusal(why_not(data)) from None
    if min(image.size) < 1:
        raise Refusal("truncated or damaged")
    return image


def why_not(data: bytes) -> str:
    """Why Pillow opened nothing."""
    start = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if any(data.startswith(signature, place) for signature, place in OURS):
        return "truncated or damaged"
    if any(start.startswith(signature, place) for signature, place in THEIRS) or b"<svg" in start:
        return "unsupported format"
    return "not an image"


def refuse_unread(data: bytes, limits: Limits | None) -> None:
    """Refuse what needs no decoder to be refused."""
    if not data:
        raise Refusal("zero bytes")
    if limits and len(data) > limits.max_bytes:
        raise Refusal("too many bytes")
    if limits and (size := plain_size(data)):
        refuse_large(size, limits)


def refuse_large(size: tuple[int, int], limits: Limits) -> None:
    if size[0] * size[1] > limits.max_pixels:
        raise Refusal("too many pixels")
    if max(size) > limits.max_side:
        raise Refusal("side too long")


def plain_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) by the headers of PNG and WebP alone: on opening a WebP, Pillow takes memory for all of it."""
    if data[:8] == PNG and len(data) >= 24:
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


def check_png(data: bytes) -> None:
    """Every chunk whole, with its right CRC, up to IEND. Pillow lets a PNG without its end pass."""
    place = 8
    while True:
        if place + 12 > len(data):
            raise Refusal("truncated or damaged")
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(data) or zlib.crc32(data[place + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise Refusal("truncated or damaged")
        if data[place + 4 : place + 8] == b"IEND":
            return
        place = end + 4


def turned(image: Image.Image) -> Image.Image:
    """As the camera was held. EXIF that cannot be read is no reason to lose the picture."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception:
        return image


def normal(image: Image.Image) -> Image.Image:
    """Any mode of Pillow as L, LA, RGB or RGBA.

    16-bit greys 0..65535 become round(v / 257), which sends 65535 to 255; 32-bit integers are clipped to 16 bits first.
    Floats are 0..1 where none is above 1, else 0..255. (16-bit colour is cut to its upper 8 bits by Pillow itself.)
    """
    if image.mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if image.mode in ("LA", "RGBA"):
        return image
    if image.mode.startswith("I"):
        return Image.fromarray(eight_bit(np.clip(np.asarray(image), 0, 65535).astype(np.uint16)))
    if image.mode == "F":
        return Image.fromarray(from_floats(np.asarray(image)))
    if image.mode == "LAB":
        return ImageCms.applyTransform(image, lab_to_rgb())  # type: ignore[return-value]
    grey = image.mode in ("1", "L", "La")
    if image.has_transparency_data:
        return image.convert("LA" if grey else "RGBA")
    return image.convert("L" if grey else "RGB")


@functools.cache
def lab_to_rgb() -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")


def eight_bit(array: np.ndarray) -> np.ndarray:
    """uint8, uint16 or bool of any shape -> uint8, the whole range to the whole range, rounded to nearest."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    return ((array.astype(np.uint32) + 128) // 257).astype(np.uint8)


def from_floats(array: np.ndarray) -> np.ndarray:
    """Floats, 0..1 where none is above 1, else 0..255 -> uint8, rounded; what is outside is clipped, NaN is refused."""
    if not np.isfinite(array).all():
        raise Refusal("truncated or damaged")
    scale = 255.0 if array.size and array.max() <= 1 else 1.0
    return np.clip(np.rint(array * scale), 0, 255).astype(np.uint8)


def from_array(array: np.ndarray) -> Image.Image:
    """(h, w) or (h, w, 1..4) of uint8, uint16 or bool -> image of mode L, LA, RGB or RGBA."""
    pixels = eight_bit(array)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    return Image.fromarray(np.ascontiguousarray(pixels))


def to_pixels(image: Image.Image | np.ndarray, channels: Literal[1, 3], background: str) -> np.ndarray:
    """(h, w, channels) uint8, 0..255; what is transparent shows `background`, "#rrggbb"; grey by ITU-R 601 luma.

    Args:
        image: an image of any mode, or an array as `from_array` takes it.
    """
    if isinstance(image, np.ndarray):
        if image.ndim == 3 and image.shape[2] == channels and image.dtype == np.uint8:
            return image
        image = from_array(image)
    image = normal(image)
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
        pixels = cropped(pixels) if fit == "crop" else padded(pixels, background)
    if len(pixels) == size:
        return pixels
    resized = np.asarray(from_array(pixels).resize((size, size), FILTERS[filter]))
    return resized.reshape(size, size, channels)


def cropped(pixels: np.ndarray) -> np.ndarray:
    side = min(pixels.shape[:2])
    top, left = ((length - side) // 2 for length in pixels.shape[:2])
    return pixels[top : top + side, left : left + side]


def padded(pixels: np.ndarray, background: str) -> np.ndarray:
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


def encode_png(pixels: np.ndarray) -> bytes:
    """(h, w, 1..4) uint8 -> PNG without line filters: a few times as fast as Pillow, and `decode_png` can be, too."""
    height, width, channels = pixels.shape
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    lines = np.zeros((height, 1 + width * channels), np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines.data, 1)) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def decode_png(data: bytes, limits: Limits | None = None) -> np.ndarray:
    """As `decode`, but as (h, w, 1..4) uint8, and quick for a PNG that `encode_png` wrote."""
    refuse_unread(data, limits)
    pixels = plain_png(data)
    if pixels is None:
        pixels = np.asarray(decode(data, limits))
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def plain_png(data: bytes) -> np.ndarray | None:
    """(h, w, c) uint8 of a PNG as `encode_png` writes it: 8 bits, one IDAT, no line filters; None of any other."""
    if len(data) < 57 or data[:8] != PNG or data[37:41] != b"IDAT" or data[8:33] != chunk(b"IHDR", data[16:29]):
        return None
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", data[16:29])
    end = 41 + int.from_bytes(data[33:37], "big")
    channels = {0: 1, 4: 2, 2: 3, 6: 4}.get(colour, 0)
    size = height * (1 + width * channels)
    if depth != 8 or any(rest) or not channels or not size or data[end + 4 :] != chunk(b"IEND", b""):
        return None
    if zlib.crc32(data[37:end]) != int.from_bytes(data[end : end + 4], "big"):
        return None
    inflate = zlib.decompressobj()
    try:
        raw = inflate.decompress(data[41:end], size)
    except zlib.error:
        return None
    if len(raw) != size or not inflate.eof:
        return None
    lines = np.frombuffer(raw, np.uint8).reshape(height, -1)
    if lines[:, 0].any():
        return None
    return lines[:, 1:].reshape(height, width, channels)


def row_id(pixels: np.ndarray) -> str:
    """sha256 of the shape (h, w, c) and the uint8 pixels: the same picture has the same id, however it was encoded."""
    height, width, channels = pixels.shape if pixels.ndim == 3 else (*pixels.shape, 1)
    digest = hashlib.sha256(struct.pack("<III", height, width, channels))
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()
