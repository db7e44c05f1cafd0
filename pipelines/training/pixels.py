"""The training images, once, as uint8: in memory where they fit, else in a file that goes with the process.

Either way any rows can be had at once, so that what is sampled, and a resumed training, do not depend on where the images are.
"""

from __future__ import annotations

import os
import tempfile
from typing import Protocol

import numpy as np
import psutil

from pipelines.core import paths


class Images(Protocol):
    """(n, size, size, channels) uint8: what a numpy array and `OnDisk` have in common."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), size, size, channels) uint8, by row numbers."""
        ...


class Store(Protocol):
    def add(self, images: np.ndarray) -> None: ...

    def images(self) -> Images:
        """All that were added."""
        ...


def store(most: int, shape: tuple[int, ...], memory_share: float) -> Store:
    """Room for `most` images of `shape`, in memory if they take no more than this share of the machine's."""
    fits = most * int(np.prod(shape)) <= memory_share * psutil.virtual_memory().total
    return InMemory(most, shape) if fits else OnDisk(shape)


class InMemory:
    def __init__(self, most: int, shape: tuple[int, ...]) -> None:
        self.room = np.empty((most, *shape), np.uint8)  # takes memory as it is filled
        self.count = 0

    def add(self, images: np.ndarray) -> None:
        self.room[self.count : self.count + len(images)] = images
        self.count += len(images)

    def images(self) -> np.ndarray:
        return self.room[: self.count]


class OnDisk:
    """A file without a name: it is gone when the process is, however that ends.

    Read, not mapped: pages that were read once would count as this process's memory.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        paths.CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        self.file = tempfile.TemporaryFile(dir=paths.CHECKPOINTS)  # noqa: SIM115, open as long as this object is
        self.one = shape
        self.bytes = int(np.prod(shape))
        self.count = 0

    def add(self, images: np.ndarray) -> None:
        self.file.write(np.ascontiguousarray(images).data)
        self.count += len(images)

    def images(self) -> OnDisk:
        self.file.flush()
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return self.count, *self.one

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self.one), np.uint8)
        for image, row in zip(found.reshape(len(rows), -1), rows.tolist(), strict=True):
            if os.preadv(self.file.fileno(), [image.data], row * self.bytes) != self.bytes:
                raise OSError(f"image {row} of {self.count} cannot be read back")
        return found


class Chosen:
    """Some rows of other images; none is copied."""

    def __init__(self, images: Images, rows: np.ndarray) -> None:
        """rows: (n,) row numbers."""
        self.images, self.rows = images, rows

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), *self.images.shape[1:]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.images[self.rows[rows]]
