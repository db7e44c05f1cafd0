"""The contract of a source, where images come from, and what sources and their readers share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict

from pipelines.core import files
from pipelines.core.errors import InputError

if TYPE_CHECKING:
    import numpy as np

MOST_LABEL = 99_999  # a larger label is a number of another kind, such as an id


@dataclass(frozen=True)
class Item:
    """One image as its source has it.

    image: an encoded file, or pixels (height, width) or (height, width, channels), uint8 or uint16.
        None where the source cannot give it; `refused` is the reason then.
    label: index into the source's `classes()`, None where it has none.
    path: its place in the source, for people: a file's name, or a row's number.
    """

    image: bytes | np.ndarray | None
    label: int | None
    path: str
    refused: str | None = None

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
        path = getattr(self, "path", None)
        return self.model_copy(update={"path": files.absolute(path, root)}) if path else self

    def classes(self) -> list[str]:
        """Names of the classes, cheap to get; none where nothing is labelled. Raises InputError where nothing is usable."""
        raise NotImplementedError

    def items(self) -> Iterator[Item]:
        """Every image, one after the other, in an order that is the same at every call. Raises what `classes` raises."""
        raise NotImplementedError

    def state(self) -> str:
        """A text that changes when the images of the source do, cheap to get; always the same for a source that cannot change.

        Raises GenloopError where the place that the settings name cannot be read now.
        """
        from pipelines.sources import places

        path = getattr(self, "path", None)
        return places.state(path) if path else ""


def check_labels(labels: np.ndarray, name: str, first: int = 0) -> np.ndarray:
    """(n,) of any integer dtype -> (n,) int64, each from 0 to `MOST_LABEL`. `first`: number of the first row."""
    import numpy as np

    for invalid, rule in ((labels < 0, "must not be negative"), (labels > MOST_LABEL, f"must be at most {MOST_LABEL}")):
        if invalid.any():
            row = int(np.argmax(invalid))
            raise InputError(f"{name}: labels {rule}, but row {first + row} has {labels[row]}")
    return labels.astype(np.int64)


def label_names(arrays: Iterable[np.ndarray]) -> list[str]:
    """ "0", "1" and so on up to the largest label; empty where there is none."""
    return [str(number) for number in range(max((int(array.max()) + 1 for array in arrays if len(array)), default=0))]
