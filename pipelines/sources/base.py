"""The contract of a source, where images come from, and what sources and their readers share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from pipelines.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MOST_LABEL = 99_999  # a larger label is a number of another kind, such as an id
MOST_NAMED = 10  # names in a message
Label = int | str | None  # a number or a name; None: no label

TestRows = Literal["rows", "holdout", "leave_out"]
Split = Literal["train", "test", "validation"]
SPLITS: dict[str, Split] = {
    "train": "train", "training": "train", "test": "test", "testing": "test", "holdout": "test",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """One image as its source has it.

    image: an encoded file, or pixels (height, width) or (height, width, channels), uint8 or uint16.
        None where the source cannot give it; `refused` is the reason then.
    label: index into the source's `classes()`, None where it has none.
    path: its place in the source, for people: a file's name, or a row's number.
    split: the one that the source itself names, as by a folder `test` or an array `x_val`; None where it names none.
    """

    image: bytes | np.ndarray | None
    label: int | None
    path: str
    refused: str | None = None
    split: Split | None = None

    def size(self) -> int:
        """Bytes that it takes in memory."""
        return len(self.image) if isinstance(self.image, bytes) else getattr(self.image, "nbytes", 0)


class Source(BaseModel):
    """A source's settings are its fields.

    Modules of sources import nothing heavy at the top: params.yaml is checked with them.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    type: str

    def at(self, root: Path) -> Self:
        """The same source with a relative `path` made absolute: it is relative to the project's root."""
        from pipelines.sources import places

        path = getattr(self, "path", None)
        here = places.local(path) if path else None
        return self if here is None or here.is_absolute() else self.model_copy(update={"path": str(root / here)})

    def classes(self) -> list[str]:
        """Names of the classes, cheap to get; none where nothing is labelled. Raises InputError where nothing is usable."""
        raise NotImplementedError

    def items(self) -> Iterator[Item]:
        """Every image, one after the other, in an order that is the same at every call. Raises what `classes` raises."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """How the source is understood where it can be understood in two ways, in whole sentences; cheap to get."""
        return []

    def not_read(self) -> list[str]:
        """What the source has but does not read (arrays, columns, files), a sentence each, and how to have it; cheap to get."""
        return []

    def left_out(self) -> dict[str, int]:
        """Numbers of files that are no data, by kind; neither rows nor refused. Cheap to get."""
        return {}

    def size_hint(self) -> int | None:
        """Number of images at the most, without reading one; None where that is not cheap. Raises what `classes` raises."""
        return None

    def state(self) -> str:
        """A text that changes when the images of the source do, cheap to get; always the same for a source that cannot change.

        Raises GenloopError where the place that the settings name cannot be read now.
        """
        from pipelines.sources import places

        path = getattr(self, "path", None)
        return places.state(path) if path else ""


class SplitSource(Source):
    """A source that can name splits of its own.

    test: what becomes of its test and validation rows. rows: the same as of all others. holdout: they are held out, and all
    others are trained on. leave_out: they are refused.
    """

    test: TestRows = "rows"


def split_named(name: str) -> Split | None:
    """The split that a folder's or array's name stands for, in any case of letters; None where it stands for none."""
    return SPLITS.get(name.strip().casefold())


def split_of(name: str) -> Split | None:
    """The split in the name of a file (`train-00000-of-00001.parquet`), else of the nearest folder (`train/0.parquet`)."""
    *folders, file = name.split("/")
    found = {split for word in re.split("[^A-Za-z]+", file) if (split := split_named(word))}
    if found:
        return found.pop() if len(found) == 1 else None
    return next((split for folder in reversed(folders) if (split := split_named(folder))), None)


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first ones, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def class_name(text: str) -> str:
    """A name in one line and without blanks around, so that `cat ` and `cat` are one class; empty where it is blank."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()


def read_labels(values: Iterable[Any], place: str, first: int = 0) -> list[Label]:
    """Labels as a file has them -> one label a row.

    values: whole numbers from 0 to `MOST_LABEL`, floats that are whole, strings and bytes, booleans; -1, None, NaN and blank
        names stand for no label. place: the file and the column or array, for messages. first: number of the first row.
    Raises InputError at any other value.
    """
    return [read_label(value, place, row) for row, value in enumerate(values, first)]


def read_label(value: Any, place: str, row: int) -> Label:
    if value is None or value == -1 or value != value:  # NaN is unlike itself
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (str, bytes)):
        return class_name(value.decode("utf-8", "replace") if isinstance(value, bytes) else value) or None
    if isinstance(value, (int, float)) and 0 <= value <= MOST_LABEL and value == int(value):
        return int(value)
    raise InputError(
        f"{place}: row {row} has the label {value!r}; expected a name or a whole number from 0 to {MOST_LABEL}; a row without "
        "a label has -1, null or NaN"
    )


def label_classes(labels: Iterable[Label]) -> list[str]:
    """Names of the classes that these labels stand for: numbers in their order, then names in theirs."""
    found = set(labels) - {None}
    numbers = sorted(label for label in found if isinstance(label, int))
    names = sorted(label for label in found if isinstance(label, str))
    return list(dict.fromkeys([*map(str, numbers), *names]))
