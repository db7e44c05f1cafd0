"""Every kind of picture comes in as it looks, and what is no whole picture is refused before it costs anything."""

from __future__ import annotations

import functools
import io
import struct
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from pipelines.core import images, png
from pipelines.core.images import Limits, Refusal
from tests.core.test_png import handmade

LIMITS = Limits(max_bytes=10_000_000, max_side=4096, max_pixels=16_000_000)
BLACK = "#000000"


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def photo(width: int = 64, height: int = 48) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def reason(data: bytes) -> str:
    with pytest.raises(Refusal) as caught:
        images.decode(data, LIMITS)
    with pytest.raises(Refusal, match=caught.value.reason):
        images.decode_pixels(data, LIMITS)
    return caught.value.reason


def pixel(image: Image.Image, channels: int = 3, background: str = BLACK) -> list[int]:
    """The first pixel, after the image went through a file where a format holds its mode."""
    return images.to_pixels(image, channels, background)[0, 0].tolist()


FORMATS = {
    "PNG": {},
    "JPEG": {},
    "progressive JPEG": {"progressive": True},
    "WEBP": {},
    "lossless WEBP": {"lossless": True},
    "BMP": {},
    "GIF": {},
    "TIFF": {},
    "deflated TIFF": {"compression": "tiff_adobe_deflate"},
    "LZW TIFF": {"compression": "tiff_lzw"},
    "JPEG TIFF": {"compression": "jpeg"},
    "PPM": {},
}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_whole_and_refused_when_cut(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(photo(), name.split()[-1], **FORMATS[name])
    shown = images.to_pixels(images.decode(data, LIMITS), 3, BLACK)
    assert shown.shape == (48, 64, 3)
    assert np.abs(shown.astype(int) - np.asarray(photo())).mean() < 20
    for cut in (4, 20, len(data) // 4, len(data) // 2, len(data) - 60):
        assert reason(data[:-cut]) == "truncated or damaged"
    assert capfd.readouterr() == ("", "")  # decoders of C write to stderr themselves


@pytest.mark.parametrize("end", [b"IEND", b"IDAT"])
def test_a_png_must_reach_its_end(end: bytes) -> None:
    data = encoded(photo(), "PNG")
    assert reason(data[: data.rindex(end) - 4]) == "truncated or damaged"
    assert reason(data[:-1]) == "truncated or damaged"


def test_a_png_with_a_wrong_checksum_is_refused_wherever_it_is_wrong() -> None:
    for data in (encoded(photo(), "PNG"), png.encode(np.asarray(photo()))):
        for place in (30, len(data) // 2, len(data) - 1):
            broken = bytearray(data)
            broken[place] ^= 0xFF
            assert reason(bytes(broken)) == "truncated or damaged"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "zero bytes"),
        (b"hello world", "not an image"),
        (b"<html><body>not an image</body></html>", "not an image"),
        (bytes(range(256)) * 8, "not an image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "unsupported format"),
        (b"<?xml version='1.0'?><svg/>", "unsupported format"),
        (b"%PDF-1.7\n", "unsupported format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "unsupported format"),
        (b"\x89PNG\r\n\x1a\n", "truncated or damaged"),
        (b"\xff\xd8\xff\xe0", "truncated or damaged"),
        (handmade(0, 0, b""), "truncated or damaged"),
        (bytes(10_000_001), "too many bytes"),
    ],
)
def test_what_is_no_image_is_refused_with_its_reason(data: bytes, expected: str) -> None:
    assert reason(data) == expected


@pytest.mark.parametrize("format", ["ICO", "PDF", "EPS", "JPEG2000"])
def test_formats_that_pillow_could_read_but_we_do_not_are_refused(format: str) -> None:
    assert reason(encoded(photo(), format)) == "unsupported format"


@functools.cache
def bombs() -> dict[str, tuple[bytes, str]]:
    zeros = zlib.compress(bytes(100 * 2**20), 9)  # 100 MB from 100 KB
    row = zlib.compress(bytes(3))
    text = png.chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2**20 - 10), 9))
    damaged = "truncated or damaged"
    return {
        "a header of 60000 x 60000": (handmade(60_000, 60_000, row), "too many pixels"),
        "88 megapixels of one colour": (encoded(Image.new("L", (9400, 9400)), "PNG"), "too many pixels"),
        "200000 x 1": (handmade(200_000, 1, zlib.compress(bytes(200_001))), "side too long"),
        "a GIF of 64 megapixels": (encoded(Image.new("L", (8000, 8000)), "GIF"), "too many pixels"),
        "a WebP of 16383 x 16383": (
            b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0" + bytes(34),
            "too many pixels",
        ),
        "compressed text": (handmade(2, 1, row, png.chunk(b"zTXt", b"k\0\0" + zeros)), damaged),
        "international text": (handmade(2, 1, row, png.chunk(b"iTXt", b"k\0\1\0\0\0" + zeros)), damaged),
        "much text": (handmade(2, 1, row, text * 200), damaged),
        "a colour profile": (handmade(2, 1, row, png.chunk(b"iCCP", b"p\0\0" + zeros)), damaged),
        "tiles of 60000 x 60000 in a TIFF": (tiled(60_000), "too many pixels"),
    }


def tiled(side: int) -> bytes:
    tags = {256: 16, 257: 16, 258: 8, 259: 5, 262: 1, 277: 1, 322: side, 323: side, 324: 200, 325: 100}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + b"\x80" * 300


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_at_once(name: str) -> None:
    data, expected = bombs()[name]
    began = time.process_time()
    assert reason(data) == expected
    assert time.process_time() - began < 1


def test_no_warning_leaks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        wide = Limits(10**8, 10**5, 10**9)
        images.decode(encoded(Image.new("1", (9500, 9500)), "PNG"), wide)  # Pillow warns from 89 megapixels on


RED = (200, 20, 10)


@pytest.mark.parametrize(
    ("image", "format", "expected"),
    [
        (Image.new("1", (3, 2), 1), "PNG", [255, 255, 255]),
        (Image.new("L", (3, 2), 77), "PNG", [77, 77, 77]),
        (Image.new("LA", (3, 2), (100, 255)), "PNG", [100, 100, 100]),
        (Image.new("P", (3, 2), 0), "PNG", [0, 0, 0]),
        (Image.new("RGB", (3, 2), RED).convert("P", palette=Image.Palette.ADAPTIVE), "GIF", [200, 20, 10]),
        (Image.new("RGB", (3, 2), RED), "PNG", [200, 20, 10]),
        (Image.new("RGBA", (3, 2), (*RED, 255)), "PNG", [200, 20, 10]),
        (Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "TIFF", [255, 0, 0]),
        (Image.new("YCbCr", (3, 2), (128, 128, 128)), "TIFF", [128, 128, 128]),
        (Image.new("LAB", (3, 2), (255, 128, 128)), "TIFF", [255, 255, 255]),
        (Image.fromarray(np.full((2, 3), 65535, np.uint16)), "PNG", [255, 255, 255]),
        (Image.fromarray(np.full((2, 3), 257 * 99, np.uint16)), "PNG", [99, 99, 99]),
        (Image.fromarray(np.full((2, 3), 257 * 99 + 128, np.uint16)), "TIFF", [99, 99, 99]),
        (Image.fromarray(np.full((2, 3), 257 * 99, np.uint16)), "PPM", [99, 99, 99]),
        (Image.fromarray(np.full((2, 3), 257 * 99, np.int32)), "TIFF", [99, 99, 99]),
        (Image.fromarray(np.full((2, 3), 0.5, np.float32)), "TIFF", [128, 128, 128]),
        (Image.fromarray(np.full((2, 3), 99.4, np.float32)), "TIFF", [99, 99, 99]),
    ],
    ids=lambda value: getattr(value, "mode", None),
)
def test_every_mode_comes_out_as_it_looks(image: Image.Image, format: str, expected: list[int]) -> None:
    decoded = images.decode(encoded(image, format), LIMITS)
    assert decoded.mode in images.MODES.values()
    assert decoded.size == (3, 2)
    assert np.abs(np.subtract(pixel(decoded), expected)).max() <= 2
    assert images.to_pixels(decoded, 1, BLACK).shape == (2, 3, 1)


@pytest.mark.parametrize("mode", ["HSV", "La", "PA", "RGBX", "RGBa", "I;16B"])
def test_modes_that_only_pillow_makes_are_taken_too(mode: str) -> None:
    assert images.to_pixels(Image.new(mode, (3, 2)), 3, BLACK).shape == (2, 3, 3)


def test_a_lab_colour_keeps_its_hue() -> None:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.profileToProfile(Image.new("RGB", (2, 2), RED), *profiles, outputMode="LAB")
    assert np.abs(np.subtract(pixel(images.decode(encoded(lab, "TIFF"))), RED)).max() <= 8


def test_an_inverted_cmyk_jpeg_of_a_photo_editor_is_right() -> None:
    data = encoded(Image.new("RGB", (16, 16), RED).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(np.subtract(pixel(images.decode(data, LIMITS)), RED)).max() <= 8


def palette_with_hole() -> Image.Image:
    image = Image.new("P", (2, 1), 0)
    image.putpalette([200, 20, 10, 0, 0, 255])
    image.putpixel((1, 0), 1)
    return image


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (encoded(Image.new("RGBA", (2, 1), (9, 9, 9, 0)), "PNG"), "RGBA"),
        (encoded(Image.new("LA", (2, 1), (9, 0)), "PNG"), "LA"),
        (encoded(palette_with_hole(), "PNG", transparency=0), "P"),
        (encoded(palette_with_hole(), "GIF", transparency=0), "GIF"),
        (encoded(Image.new("RGB", (2, 1), RED), "PNG", transparency=RED), "RGB with one transparent colour"),
        (encoded(Image.new("L", (2, 1), 9), "PNG", transparency=9), "L with one transparent grey"),
        (encoded(Image.new("RGBA", (2, 1), (9, 9, 9, 0)), "WEBP", lossless=True), "WebP"),
    ],
)
def test_what_is_transparent_shows_the_background(data: bytes, name: str) -> None:
    image = images.decode(data, LIMITS)
    assert pixel(image, background="#10fe30") == [16, 254, 48], name
    assert pixel(image, channels=1, background="#ffffff") == [255], name


def keyed_png(depth: int, colour_type: int, row: bytes, key: bytes, palette: bytes = b"") -> bytes:
    """A PNG of 2 x 1 pixels with a tRNS chunk."""
    header = struct.pack(">IIBBBBB", 2, 1, depth, colour_type, 0, 0, 0)
    before = png.chunk(b"PLTE", palette) if palette else b""
    data = png.chunk(b"IDAT", zlib.compress(b"\0" + row))
    return png.SIGNATURE + png.chunk(b"IHDR", header) + before + png.chunk(b"tRNS", key) + data + png.chunk(b"IEND", b"")


def words(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        (keyed_png(16, 0, words(1000, 1001), words(1000)), [[4, 0], [4, 255]]),
        (keyed_png(16, 0, words(65535, 0), words(65535)), [[255, 0], [0, 255]]),
        (keyed_png(16, 0, words(65535, 0), words(7)), [[255, 255], [0, 255]]),
        (keyed_png(8, 0, bytes([7, 8]), words(7)), [[7, 0], [8, 255]]),
        (keyed_png(4, 0, bytes([0x3A]), words(3)), [[51, 0], [170, 255]]),
        (keyed_png(2, 0, bytes([0b10010000]), words(2)), [[170, 0], [85, 255]]),
        (keyed_png(1, 0, bytes([0b01000000]), words(1)), [[0, 255], [255, 0]]),
        (keyed_png(1, 0, bytes([0b01000000]), words(0)), [[0, 0], [255, 255]]),
        (keyed_png(8, 2, bytes([1, 2, 3, 1, 2, 4]), words(1, 2, 3)), [[1, 2, 3, 0], [1, 2, 4, 255]]),
        (
            keyed_png(16, 2, words(1000, 2000, 3000, 1000, 2000, 4000), words(1000, 2000, 3000)),
            [[3, 7, 11, 0], [3, 7, 15, 255]],
        ),
        (keyed_png(8, 3, bytes([0, 1]), bytes([0, 128]), bytes(range(6))), [[0, 1, 2, 0], [3, 4, 5, 128]]),
        (keyed_png(1, 3, bytes([0b01000000]), bytes([0]), bytes(range(6))), [[0, 1, 2, 0], [3, 4, 5, 255]]),
        (keyed_png(16, 4, words(1000, 0, 65535, 32768), b""), [[3, 3, 3, 0], [255, 255, 255, 128]]),
    ],
)
def test_a_transparent_colour_of_every_depth_is_transparent(data: bytes, pixels: list[list[int]]) -> None:
    assert images.decode_pixels(data)[0].tolist() == pixels


@pytest.mark.parametrize(("orientation", "alphas"), [(1, [0, 255]), (3, [255, 0])])
def test_a_turned_image_keeps_its_transparent_grey(orientation: int, alphas: list[int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = keyed_png(16, 0, words(1000, 50_000), words(1000))
    end = data.index(b"IDAT") - 4
    data = data[:end] + png.chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")) + data[end:]
    assert images.decode_pixels(data)[0, :, 1].tolist() == alphas


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "git-lfs pointer"),
        (b"PK\3\4" + bytes(50), "archive"),
        (bytes(257) + b"ustar" + bytes(300), "archive"),
        (b"\x1f\x8b\x08" + bytes(11_000_000), "archive"),
        (b"Rar!\x1a\7\0", "archive"),
    ],
)
def test_archives_and_pointers_are_told_from_other_files(data: bytes, expected: str) -> None:
    assert reason(data) == expected


def test_half_transparent_is_half_background() -> None:
    image = Image.new("RGBA", (1, 1), (255, 255, 255, 128))
    assert pixel(image) == [128, 128, 128]
    assert pixel(image, background="#ffffff") == [255, 255, 255]


def test_a_photo_is_turned_as_its_exif_says() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter to the right
    halves = Image.new("L", (64, 32))
    halves.paste(255, (0, 0, 32, 32))  # white on the left, which is to be on top
    turned = images.decode_pixels(encoded(halves, "JPEG", exif=exif), LIMITS)
    assert turned.shape == (64, 32, 1)
    assert turned[:30].min() > 240
    assert turned[34:].max() < 15


def test_exif_that_cannot_be_read_does_not_cost_the_picture() -> None:
    data = encoded(photo(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert images.decode(data, LIMITS).size == (64, 48)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(format: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("#c8140a", "#00ff00", "#0000ff")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:])
    assert np.abs(np.subtract(pixel(images.decode(data, LIMITS)), RED)).max() <= 4


def test_a_gif_of_10000_frames_costs_no_more_than_one() -> None:
    frames = [Image.new("L", (4, 4), number % 251) for number in range(10_000)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    began = time.process_time()
    assert images.decode(data, LIMITS).size == (4, 4)
    assert time.process_time() - began < 1


def test_a_png_that_is_a_zip_too_is_a_png() -> None:
    assert images.decode(encoded(photo(), "PNG") + b"PK\3\4" + bytes(100), LIMITS).size == (64, 48)


def test_decode_pixels_reads_pngs_of_others_too() -> None:
    assert (images.decode_pixels(encoded(photo(), "PNG")) == np.asarray(photo())).all()


def test_a_picture_has_one_row_id_however_it_is_encoded() -> None:
    pixels = np.asarray(photo())
    ids = {images.row_id(images.decode_pixels(encoded(photo(), format))) for format in ("PNG", "BMP", "TIFF", "PPM")}
    assert ids == {images.row_id(pixels)}
    assert images.row_id(pixels) != images.row_id(pixels.transpose(1, 0, 2))
    flat = np.zeros((2, 8, 1), np.uint8)
    assert images.row_id(flat) == images.row_id(flat[:, :, 0])
    assert images.row_id(flat) != images.row_id(flat.reshape(4, 4, 1))  # the same bytes in another shape


@pytest.mark.parametrize(
    ("array", "mode", "first"),
    [
        (np.full((2, 3), 7, np.uint8), "L", 7),
        (np.full((2, 3, 1), 7, np.uint8), "L", 7),
        (np.full((2, 3, 2), 7, np.uint8), "LA", (7, 7)),
        (np.full((2, 3, 3), 7, np.uint8), "RGB", (7, 7, 7)),
        (np.full((2, 3, 4), 7, np.uint8), "RGBA", (7, 7, 7, 7)),
        (np.full((2, 3), 65535, np.uint16), "L", 255),
        (np.full((2, 3), 65535, ">u2"), "L", 255),
        (np.full((2, 3), True), "L", 255),
    ],
)
def test_arrays_become_images(array: np.ndarray, mode: str, first: object) -> None:
    image = images.from_array(array)
    assert (image.mode, image.size, image.getpixel((0, 0))) == (mode, (3, 2), first)


def test_all_16_bit_values_are_rounded_to_the_nearest_of_8() -> None:
    values = np.arange(65536, dtype=np.uint16)
    assert (images.to_uint8(values) == np.rint(values / 257)).all()


def test_a_square_of_the_right_size_is_left_alone() -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    assert images.to_square(pixels, 8, "crop", "bicubic", BLACK) is pixels


def test_crop_takes_the_centre_and_pad_keeps_everything() -> None:
    pixels = np.zeros((4, 12, 3), np.uint8)
    pixels[:, 4:8] = 255
    assert images.to_square(pixels, 4, "crop", "nearest", BLACK).min() == 255
    padded = images.to_square(pixels, 12, "pad", "nearest", "#0a141e")
    assert (padded[4:8] == pixels).all()
    assert padded[0, 0].tolist() == [10, 20, 30]
    assert padded[11, 11].tolist() == [10, 20, 30]
    assert images.to_square(pixels[:, :, :1], 12, "pad", "nearest", "#ffffff")[0, 0].tolist() == [255]


@pytest.mark.parametrize("filter", images.FILTERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_filter_resizes_up_and_down(filter: str, channels: int) -> None:
    pixels = np.full((10, 14, channels), 99, np.uint8)
    for size in (4, 32):
        square = images.to_square(pixels, size, "crop", filter, BLACK)
        assert square.shape == (size, size, channels)
        assert square.dtype == np.uint8
        assert (square == 99).all()


def test_filters_differ() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 1), np.uint8)
    results = {images.to_square(pixels, 11, "crop", filter, BLACK).tobytes() for filter in images.FILTERS}
    assert len(results) == len(images.FILTERS)


def test_the_median_takes_away_a_speck_and_keeps_an_edge() -> None:
    pixels = np.zeros((9, 9, 3), np.uint8)
    pixels[:, 5:] = 200
    speckled = pixels.copy()
    speckled[4, 2] = 255
    assert (images.denoise(speckled) == pixels).all()
    assert images.denoise(pixels[:, :, :1]).shape == (9, 9, 1)
