"""One side of a comparison: images in files, or drawn by a registered model, brought to one form chunk by chunk."""

from __future__ import annotations

import functools
import itertools
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from pipelines import catalogue
from pipelines.core import images, parallel
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import Progress
from pipelines.sources.base import Item, Source

LIMITS = images.Limits(max_bytes=10_000_000, max_side=4096, max_pixels=16_000_000)  # of what is decoded, as in params.yaml
NAMED = 3  # images that cannot be read, in the message

# Of one batch of files, the unit that a worker gets; whichever is reached first.
BATCH_ROWS, BATCH_BYTES = 512, 8 * 2**20
# Of one chunk of images in their form: few enough to hold, enough to fill an extractor's batches.
LEAST_ROWS, MOST_ROWS, CHUNK_BYTES = 64, 2048, 64 * 2**20

VERSION = re.compile(r"models:/([A-Za-z0-9][A-Za-z0-9._-]*)(?:@([A-Za-z0-9_-]+)|/([0-9]+))")
KINDS = "a folder of images, an .npz or .parquet file, or models:/NAME@alias"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Form:
    """What images are brought to before an extractor sees them; how, is by default as in params.yaml."""

    size: int
    channels: Literal[1, 3]
    background: str = "#000000"
    fit: Literal["crop", "pad"] = "crop"
    filter: str = "bicubic"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, self.channels

    @property
    def rows(self) -> int:
        """Images in a chunk."""
        return max(LEAST_ROWS, min(MOST_ROWS, CHUNK_BYTES // (self.size * self.size * self.channels)))

    def bring(self, pixels: np.ndarray) -> np.ndarray:
        """(h, w, 1..4) uint8 -> `shape`."""
        plain = images.to_pixels(pixels, self.channels, self.background)
        return images.to_square(plain, self.size, self.fit, self.filter, self.background)


@dataclass(frozen=True)
class Survey:
    """What n images are as they come.

    labels: (n,) int32, -1 for none. ids: (n,) S64, their row_ids; none where nobody asked. sizes: every (height, width) there
    is. colour: whether any image has more than a grey and its transparency.
    """

    labels: np.ndarray
    ids: np.ndarray
    sizes: frozenset[tuple[int, int]]
    colour: bool

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Looked:
    """The same of one batch. refused: names of images that cannot be read, and why."""

    labels: list[int]
    ids: list[str]
    sizes: set[tuple[int, int]]
    colour: bool
    refused: list[tuple[str, str]]


class Files:
    """Images of a source, in its order."""

    def __init__(self, name: str, source: Source) -> None:
        self.name, self.source = name, source
        self.classes = source.classes()

    def survey(self, identify: bool) -> Survey:
        """Decode every image once. identify: and hash its pixels.

        Raises:
            InputError: there is none, or some cannot be read.
        """
        found: list[Looked] = []
        with Progress(f"read {self.name}", None, "images") as progress:
            for looked in self.mapped(functools.partial(look, identify)):
                found.append(looked)
                progress.advance(len(looked.labels))
        labels = [label for looked in found for label in looked.labels]
        if refused := [pair for looked in found for pair in looked.refused]:
            raise InputError(unreadable(self.name, refused, len(labels)))
        if not labels:
            raise InputError(f"{self.name}: no images in it; expected {KINDS}")
        ids = np.array([row_id for looked in found for row_id in looked.ids], "S64")
        sizes = frozenset(size for looked in found for size in looked.sizes)
        return Survey(np.array(labels, np.int32), ids, sizes, any(looked.colour for looked in found))

    def chunks(self, form: Form) -> Iterator[np.ndarray]:
        """(k, *form.shape) uint8 each."""
        try:
            yield from joined(self.mapped(functools.partial(bring, form)), form.rows)
        except images.Refusal:
            raise GenloopError(
                f"{self.name}: an image changed while it was scored; score again when it is left alone"
            ) from None

    def mapped(self, function: Callable[[list[Item]], Result]) -> Iterator[Result]:
        """What `function` makes of each batch of images, in their order, by all cores where that pays."""
        todo = batches(self.source.items())
        first = next(todo, [])
        # An array or a small file is looked at in less time than it takes to send it to another process.
        large = len(first) < BATCH_ROWS and not any(isinstance(item.image, np.ndarray) for item in first)
        workers = None if large else 1
        return parallel.map_ordered(function, itertools.chain([first], todo), workers)


class Model:
    """Images of a registered version, one for each of the (n,) `seeds`, of the classes (n,) `labels` where it knows classes."""

    def __init__(self, name: str, drawer: Any, seeds: np.ndarray | None = None, labels: np.ndarray | None = None) -> None:
        self.name, self.drawer = name, drawer
        self.classes: list[str] = list(drawer.classes) if drawer.conditional else []
        self.seeds = np.zeros(0, np.int64) if seeds is None else seeds
        self.labels = labels

    def asked(self, seeds: np.ndarray, like: np.ndarray | None) -> Model:
        """The same for other seeds, of the classes `like` (n,) int32, or of all by turns."""
        labels = (seeds % len(self.classes)).astype(np.int32) if self.classes else None
        return Model(self.name, self.drawer, seeds, like if like is not None and self.classes else labels)

    def survey(self, identify: bool) -> Survey:
        """Draw the first image, or all of them where each is to be identified."""
        known = self.labels if self.labels is not None else np.full(len(self.seeds), -1, np.int32)
        first = self.drawer.draw(self.seeds[:1], self.part(slice(0, 1)))
        ids = [images.row_id(image) for chunk in self.drawn(MOST_ROWS) for image in chunk] if identify else []
        return Survey(known, np.array(ids, "S64"), frozenset([first.shape[1:3]]), first.shape[3] == 3)

    def chunks(self, form: Form) -> Iterator[np.ndarray]:
        """(k, *form.shape) uint8 each."""
        for chunk in self.drawn(form.rows):
            yield np.stack([form.bring(image) for image in chunk])

    def walk(self, form: Form, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """(n, *form.shape) uint8, at the shares `at` of the way from each seed to the other one."""
        return np.stack([form.bring(image) for image in self.drawer.walk(seeds, others, at, labels)])

    def drawn(self, rows: int) -> Iterator[np.ndarray]:
        with Progress(f"draw {self.name}", len(self.seeds), "images") as progress:
            for start in range(0, len(self.seeds), rows):
                part = slice(start, start + rows)
                yield self.drawer.draw(self.seeds[part], self.part(part))
                progress.advance(len(self.seeds[part]))

    def part(self, rows: slice) -> np.ndarray | None:
        return None if self.labels is None else self.labels[rows]


def files(place: str) -> Files:
    """The images at a path or URL.

    Raises:
        InputError: there are none that can be had.
    """
    ending, local = Path(place).suffix, "://" not in place
    path = Path(place)
    if ending in (".npz", ".npy") and local and (ending == ".npy" or holds_features(path)):
        raise InputError(f"{place}: this holds features, not images; score them with --extractor none")
    if local and not path.exists() and not set("*?[") & set(place):
        raise InputError(f"{place}: there is nothing there; expected {KINDS}")
    if ending == ".npz":
        kind = "npz"
    elif ending == ".parquet" or (local and path.is_dir() and next(path.rglob("*.parquet"), None)):
        kind = "parquet"
    elif local and not path.is_dir():
        raise InputError(f"{place}: this is no set of images; expected {KINDS}")
    else:
        kind = "folder"
    return Files(place, catalogue.get(catalogue.SOURCES, kind)(type=kind, path=place))


def holds_features(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist() == ["features.npy"]
    except (OSError, zipfile.BadZipFile):
        return False  # the source says what is wrong with it


def is_model(place: str) -> bool:
    return place.startswith("models:/")


def model(place: str) -> Model:
    """A registered version, not yet asked to draw anything.

    Raises:
        InputError: there is none such.
    """
    from pipelines.registry import client as tracking

    asked = VERSION.fullmatch(place)
    if asked is None:
        raise InputError(f"{place}: expected models:/NAME@alias or models:/NAME/VERSION, as in models:/genloop-digits@champion")
    name, alias, version = asked.groups()
    if not tracking.reachable():
        raise InputError(f"{place}: there is no registry at {tracking.uri()}; set MLFLOW_TRACKING_URI to yours")
    client = tracking.client()
    with tracking.asking():
        found = client.search_registered_models(f"name = '{name}'")
        if not found:
            there = [other.name for other in client.search_registered_models()]
            known = catalogue.unknown(name, there) if there else "no model is registered"
            raise InputError(f"{place}: {known} (at {tracking.uri()})")
        versions = sorted(int(version.version) for version in client.search_model_versions(f"name = '{name}'"))
    aliases = {key: int(value) for key, value in found[0].aliases.items()}
    if alias is not None and alias not in aliases:
        raise InputError(f"{place}: {catalogue.unknown(alias, aliases) if aliases else f'{name} has no aliases'}")
    number = aliases[alias] if alias is not None else int(version)
    if number not in versions:
        raise InputError(f"{place}: {name} has no version {number}; its versions: {', '.join(map(str, versions))}")
    with tracking.asking():
        drawer = tracking.load_uri(f"models:/{name}/{number}")
    if not hasattr(drawer, "draw"):
        raise InputError(f"{place}: version {number} is no model that Genloop registered: it cannot draw")
    return Model(f"{name}/{number}", drawer)


def batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    found: list[Item] = []
    size = 0
    for item in items:
        found.append(item)
        size += len(item.image) if isinstance(item.image, bytes) else getattr(item.image, "nbytes", 0)
        if len(found) == BATCH_ROWS or size >= BATCH_BYTES:
            yield found
            found, size = [], 0
    if found:
        yield found


def look(identify: bool, items: list[Item]) -> Looked:
    looked = Looked([], [], set(), False, [])
    colour = False
    for item in items:
        looked.labels.append(-1 if item.label is None else item.label)
        try:
            pixels = decoded(item)
        except images.Refusal as refusal:
            looked.refused.append((item.path, refusal.reason))
            continue
        looked.sizes.add(pixels.shape[:2])
        colour = colour or pixels.shape[2] >= 3
        if identify:
            looked.ids.append(images.row_id(pixels))
    return replace(looked, colour=colour)


def bring(form: Form, items: list[Item]) -> np.ndarray:
    return np.stack([form.bring(decoded(item)) for item in items]) if items else np.empty((0, *form.shape), np.uint8)


def decoded(item: Item) -> np.ndarray:
    """(h, w, 1..4) uint8."""
    if item.image is None:
        raise images.Refusal(item.refused or "no image")
    if isinstance(item.image, bytes):
        return images.decode_png(item.image, LIMITS)
    images.refuse_large((item.image.shape[1], item.image.shape[0]), LIMITS)
    pixels = images.eight_bit(item.image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def joined(parts: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """The same rows, at least so many at once but for the last."""
    waiting: list[np.ndarray] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) >= rows:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def unreadable(name: str, refused: list[tuple[str, str]], total: int) -> str:
    shown = ", ".join(f"{path} ({reason})" for path, reason in refused[:NAMED])
    more = f" and {len(refused) - NAMED:,} more" if len(refused) > NAMED else ""
    return (
        f"{name}: {len(refused):,} of {total:,} cannot be read as images: {shown}{more}; a score of the others would "
        "mislead, so mend them or take them out"
    )
