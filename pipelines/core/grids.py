"""Grids: many small images in one picture for people."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

CELL = 64  # pixels a side to which a small image is scaled up, about
GAP = 2  # pixels between images
FRAME = (44, 44, 44)  # neither black nor white: both are common backgrounds of images
INK = (225, 225, 225)


def grid(images: np.ndarray, columns: int, names: Sequence[str] = ()) -> Image.Image:
    """Images (n, height, width, 1 or 3) uint8, 0..255, row by row, `columns` in each.

    names: one for each row, written at its left; none for no captions.
    """
    count, height, width, channels = images.shape
    assert images.dtype == np.uint8, images.dtype
    assert count > 0, images.shape
    assert channels in (1, 3), images.shape
    # Scaled by a whole number and without smoothing, because people are to see the pixels of the image.
    scale = max(1, round(CELL / max(height, width)))
    cells = np.broadcast_to(images, (count, height, width, 3)).repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale, width * scale
    rows = -(-count // columns)

    font = ImageFont.load_default(size=min(16, max(8, height // 2)))
    margin = round(max((font.getlength(name) for name in names), default=-4 * GAP)) + 4 * GAP
    page = Image.new("RGB", (margin + GAP + columns * (width + GAP), GAP + rows * (height + GAP)), FRAME)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        page.paste(Image.fromarray(cell), (margin + GAP + column * (width + GAP), GAP + row * (height + GAP)))
    pen = ImageDraw.Draw(page)
    for row, name in enumerate(names):
        middle = GAP + row * (height + GAP) + height // 2
        pen.text((margin - GAP, middle), name, fill=INK, font=font, anchor="rm")
    return page


def note(text: str) -> Image.Image:
    """A line of text in place of images."""
    font = ImageFont.load_default(size=16)
    page = Image.new("RGB", (round(font.getlength(text)) + 8 * GAP, 16 + 8 * GAP), FRAME)
    ImageDraw.Draw(page).text((4 * GAP, 4 * GAP), text, fill=INK, font=font)
    return page


def png(picture: Image.Image) -> bytes:
    """The picture as a PNG file."""
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def by_class(images: np.ndarray, labels: np.ndarray, classes: Sequence[str], widest: int = 16) -> Image.Image:
    """One row for each class that `labels` (n,) holds, more where a class has more than `widest` images."""
    groups = {label: images[labels == label] for label in sorted(set(labels.tolist()))}
    columns = min(widest, max(len(group) for group in groups.values()))
    empty = np.empty((1, *images.shape[1:]), np.uint8)
    empty[...] = FRAME[: images.shape[-1]]
    rows, names = [], []
    for label, group in groups.items():
        missing = -len(group) % columns
        rows += [group, *[empty] * missing]
        lines = (len(group) + missing) // columns
        names += [classes[label], *[""] * (lines - 1)]
    return grid(np.concatenate(rows), columns, names)
