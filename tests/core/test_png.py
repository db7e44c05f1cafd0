"""Our own PNGs come back as they were, and are PNGs to others."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines.core import images, png


def handmade(width: int, height: int, content: bytes, *extra: bytes) -> bytes:
    """A grey PNG made by hand: its header may lie."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [png.chunk(b"IHDR", header), *extra, png.chunk(b"IDAT", content), png.chunk(b"IEND", b"")]
    return png.SIGNATURE + b"".join(parts)


def test_a_plain_png_holds_no_more_than_its_header_says() -> None:
    data = handmade(2, 1, zlib.compress(bytes(50 * 2**20), 9))
    tracemalloc.start()
    assert png.decode(data) is None  # left to Pillow, which stops at the last line
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_what_is_encoded_comes_back_and_pillow_agrees(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    data = png.encode(pixels)
    assert png.decode(data) is not None
    assert (images.decode_pixels(data) == pixels).all()
    assert (np.asarray(Image.open(io.BytesIO(data))).reshape(pixels.shape) == pixels).all()
    assert png.encode(pixels) == data
