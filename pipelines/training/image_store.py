"""A store of the training images, as uint8: in memory where they fit, else in a temporary file.

Both kinds return any rows at any time, so that batches, and a resumed training, do not depend on where the images are.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Protocol

import numpy as np

from pipelines.core import limits


class ImageArray(Protocol):
    """(n, size, size, channels) uint8: what a numpy array and `FileStore` have in common."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), size, size, channels) uint8, by row numbers."""
        ...


class ImageStore(Protocol):
    def add(self, images: np.ndarray) -> None: ...

    def images(self) -> ImageArray:
        """All that were added."""
        ...


def create(most: int, shape: tuple[int, ...], memory_share: float, folder: Path) -> ImageStore:
    """A store for `most` images of `shape`, in memory if they take at most this share of what there is, else in `folder`."""
    fits = most * int(np.prod(shape)) <= memory_share * limits.memory().total
    return MemoryStore(most, shape) if fits else FileStore(shape, folder)


class MemoryStore:
    def __init__(self, most: int, shape: tuple[int, ...]) -> None:
        self.array = np.empty((most, *shape), np.uint8)  # takes memory as it is filled
        self.count = 0

    def add(self, images: np.ndarray) -> None:
        self.array[self.count : self.count + len(images)] = images
        self.count += len(images)

    def images(self) -> np.ndarray:
        return self.array[: self.count]


class FileStore:
    """A file without a name, which the system deletes when the process ends, however that happens.

    It is read and not mapped, because pages that were read once would count as this process's memory.
    """

    def __init__(self, shape: tuple[int, ...], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115, open as long as this object is
        self.image_shape = shape
        self.bytes = int(np.prod(shape))
        self.count = 0

    def add(self, images: np.ndarray) -> None:
        self.file.write(np.ascontiguousarray(images).data)
        self.count += len(images)

    def images(self) -> FileStore:
        self.file.flush()
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        return self.count, *self.image_shape

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        found = np.empty((len(rows), *self.image_shape), np.uint8)
        for image, row in zip(found.reshape(len(rows), -1), rows.tolist(), strict=True):
            if os.preadv(self.file.fileno(), [image.data], row * self.bytes) != self.bytes:
                raise OSError(f"image {row} of {self.count} cannot be read back")
        return found


class ImageSubset:
    """Some rows of other images, which are not copied."""

    def __init__(self, images: ImageArray, rows: np.ndarray) -> None:
        """rows: (n,) row numbers."""
        self.images, self.rows = images, rows

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.rows), *self.images.shape[1:]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        return self.images[self.rows[rows]]
