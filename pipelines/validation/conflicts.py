"""Pictures with several labels, for the page of the data: what they look like, and which files have which label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.core import grids, images, shards
from pipelines.core.facts import Facts

MOST_PICTURES = 24  # on the page
MOST_COPIES = 6  # of one picture
SIDE = 48  # pixels


@dataclass(frozen=True)
class Copy:
    """One row: the name of its class, None for none, and its place in the source."""

    label: str | None
    place: str


@dataclass(frozen=True)
class LabelConflict:
    """One picture. strip: Pillow image of the copies. more: number of further copies, which are not among `copies`."""

    strip: Image.Image
    copies: list[Copy]
    more: int


@dataclass(frozen=True)
class LabelConflicts:
    """total: number of pictures, of which `shown` are the first."""

    total: int
    shown: list[LabelConflict]


def show(raw: Path, facts: Facts, groups: np.ndarray, classes: list[str], background: str) -> LabelConflicts:
    """groups: (n,) the number of the picture that each row shows, -1 for rows of pictures without contradiction."""
    numbers = np.unique(groups[groups >= 0])
    chosen = {int(number): np.flatnonzero(groups == number) for number in numbers[:MOST_PICTURES]}
    rows = {number: one_of_each_label_first(copies, facts["label"])[:MOST_COPIES] for number, copies in chosen.items()}
    wanted = np.concatenate(list(rows.values()) or [np.empty(0, int)])
    encoded, places = shards.take(raw, wanted), places_of(raw, wanted)
    found = []
    for number, copies in rows.items():
        pixels = [images.to_pixels(images.decode_pixels(encoded[row]), 3, background) for row in copies]
        squares = np.stack([images.to_square(one, SIDE, "pad", "bicubic", background) for one in pixels])
        labels = [classes[label] if label >= 0 else None for label in facts["label"][copies].tolist()]
        named = [Copy(label, places[row]) for label, row in zip(labels, copies.tolist(), strict=True)]
        found.append(LabelConflict(grids.grid(squares, len(squares)), named, len(chosen[number]) - len(named)))
    return LabelConflicts(len(numbers), found)


def one_of_each_label_first(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    _, first = np.unique(labels[rows], return_index=True)
    first = first[labels[rows][first] >= 0]
    return np.concatenate([rows[first], np.delete(rows, first)])


def places_of(raw: Path, rows: np.ndarray) -> dict[int, str]:
    """For people: the source and the file of each of these rows, or its number in data/raw where it is of no file."""
    places: dict[int, str] = {}
    if not len(rows):
        return places
    ordered, first = np.sort(rows), 0
    for batch in shards.read(raw, ["image.path", "source"]):
        for row in ordered[(ordered >= first) & (ordered < first + batch.num_rows)].tolist():
            path = batch["image"][row - first].as_py()["path"]
            places[row] = f"{batch['source'][row - first]}: {path or f'row {row:,} of data/raw'}"
        first += batch.num_rows
    return places
