"""The contract of a source: where images come from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Item:
    """One image as its source has it.

    image: an encoded file, or pixels (height, width) or (height, width, channels), uint8 or uint16.
        None where the source cannot give it; `refused` then says why.
    label: index into the source's `classes()`, None where it has none.
    path: where it came from, for people: a file's name, or a row's number.
    """

    image: bytes | np.ndarray | None
    label: int | None
    path: str
    refused: str | None = None


class Source(BaseModel):
    """A source's settings are its fields.

    Modules of sources import nothing heavy at the top: params.yaml is checked with them.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)

    type: str

    def classes(self) -> list[str]:
        """Names of the classes, cheap to get; empty where nothing is labelled.

        Raises:
            InputError: there is nothing usable at the place that the settings name.
        """
        raise NotImplementedError

    def items(self) -> Iterator[Item]:
        """Every image, one after the other, in an order that is the same at every call.

        Raises:
            InputError: as `classes`.
        """
        raise NotImplementedError

    def state(self) -> str:
        """Another text when what the source would give has changed, cheap to get; the same one for a source that cannot change.

        Raises:
            InputError, GenloopError: the place that the settings name cannot be had now.
        """
        from pipelines.sources import places

        path = getattr(self, "path", None)
        return places.state(path) if path else ""
