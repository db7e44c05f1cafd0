"""glyphs: characters drawn from the fonts that ship with matplotlib, as many as wanted: for tests of scale."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from pipelines.core.errors import InputError
from pipelines.sources.base import Item, Source

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

FAMILIES = ("DejaVuSans", "DejaVuSerif", "STIXGeneral", "cmr10", "cmb10", "cmss10", "cmtt10")
WEIGHTS = 3  # versions of each character, from thin to bold


class Glyphs(Source):
    """`count` images of `size` x `size`. They show `characters` in turn; the n-th depends on `seed` and n alone."""

    type: Literal["glyphs"]
    count: Annotated[int, Field(ge=1)] = 10_000
    size: Annotated[int, Field(ge=8, le=256)] = 28
    characters: Annotated[str, Field(min_length=1, max_length=1000)] = "0123456789"
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0

    @field_validator("characters")
    @classmethod
    def different(cls, characters: str) -> str:
        if len(set(characters)) != len(characters) or any(character.isspace() for character in characters):
            raise ValueError("expected characters that are all different and none of them a space")
        return characters

    def classes(self) -> list[str]:
        for character in self.characters:
            if not fonts(character):
                raise InputError(f"glyphs: no font of matplotlib has the character {character!r}; leave it out")
        return list(self.characters)

    def items(self) -> Iterator[Item]:
        classes = self.classes()
        for number in range(self.count):
            label = number % len(classes)
            yield Item(draw(classes[label], self.size, self.seed, number), label, str(number))

    def size_hint(self) -> int | None:
        return self.count


def draw(character: str, size: int, seed: int, number: int) -> np.ndarray:
    """(size, size) uint8, light on black: font, weight, place, size, slant, turn, brightness and noise of its own."""
    import numpy as np
    from PIL import Image

    random = np.random.Generator(np.random.Philox(key=(seed << 64) + number))
    pick, weight, turn, slant, wide, high, right, down, bright, noisy = random.random(10)
    choices = fonts(character)
    glyph = base_image(choices[int(pick * len(choices))], character, size, int(weight * WEIGHTS))
    angle, shear = np.deg2rad(24 * turn - 12), 0.5 * slant - 0.25
    cosine, sine = np.cos(angle), np.sin(angle)
    scale_x, scale_y = 0.95 + 0.35 * wide, 0.95 + 0.35 * high  # of the base, which is this much larger than its image
    # Output pixel -> pixel of the base: turn and slant about the centre, then shift.
    a, b = scale_x * (cosine + shear * sine), scale_x * (shear * cosine - sine)
    d, e = scale_y * sine, scale_y * cosine
    centre, middle = size / 2, glyph.width / 2
    shift_x, shift_y = (right - 0.5) * size / 5, (down - 0.5) * size / 5
    across, along = centre + shift_x, centre + shift_y
    c, f = middle - a * across - b * along, middle - d * across - e * along
    image = glyph.transform((size, size), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32) * np.float32(0.65 + 0.35 * bright)
    pixels += random.standard_normal((size, size), np.float32) * np.float32(3 + 5 * noisy)
    return np.clip(pixels, 0, 255, out=pixels).astype(np.uint8)


@functools.cache
def fonts(character: str) -> tuple[Path, ...]:
    """Those of matplotlib's fonts that have the character."""
    return tuple(path for path, characters in coverage().items() if ord(character) in characters)


@functools.cache
def coverage() -> dict[Path, frozenset[int]]:
    import matplotlib
    from matplotlib.ft2font import FT2Font

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    paths = sorted(path for path in folder.glob("*.ttf") if path.stem.split("-")[0].startswith(FAMILIES))
    text = [path for path in paths if "Display" not in path.stem]
    return {path: frozenset(FT2Font(str(path)).get_charmap()) for path in text}


@functools.lru_cache(maxsize=4096)
def base_image(font: Path, character: str, size: int, weight: int) -> Image.Image:
    """The character in the middle of a square, mode L, a little blurred, its strokes thin to bold by `weight`."""
    from PIL import Image, ImageDraw, ImageFilter, ImageFont

    large = 4 * size
    canvas = Image.new("L", (large, large))
    ImageDraw.Draw(canvas).text(
        (large / 2, large / 2), character, fill=255, font=ImageFont.truetype(font, int(0.8 * large)), anchor="mm"
    )
    cut = canvas.crop(canvas.getbbox())
    image = Image.new("L", (large, large))
    image.paste(cut, ((large - cut.width) // 2, (large - cut.height) // 2))
    if weight:
        image = image.filter(ImageFilter.MaxFilter(1 + 2 * max(weight * size // 28, 1)))
    return image.resize((size, size), Image.Resampling.BOX).filter(ImageFilter.GaussianBlur(0.4 * size / 28))
