"""NumPy arrays in files, as `numpy.savez` (npz) and `numpy.save` (npy) write them: read row by row and never unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from pipelines.core.errors import InputError
from pipelines.sources import places

if TYPE_CHECKING:
    import numpy as np

READ_BYTES = 2**22  # at a time


@dataclass(frozen=True)
class StoredArray:
    """An array in a file, of which the header alone is read. member: its name in an npz; None in an npy, which is one array."""

    path: str
    member: str | None
    name: str
    shape: tuple[int, ...]
    columns_first: bool
    dtype: np.dtype

    def __str__(self) -> str:
        return f"{self.path}: {self.name}"

    @property
    def kind(self) -> str:
        return f"{self.name} ({self.dtype}, shape {self.shape})"

    def batches(self) -> Iterator[np.ndarray]:
        """The rows, some at a time: (rows, *shape[1:]) each."""
        import numpy as np

        row_bytes = max(math.prod(self.shape[1:]) * self.dtype.itemsize, 1)
        step = self.shape[0] if self.columns_first else max(READ_BYTES // row_bytes, 1)
        with opened(self.path, self.member) as content:
            header(content, str(self))
            for start in range(0, self.shape[0], step):
                count = min(step, self.shape[0] - start)
                read = np.frombuffer(self.read(content, count * row_bytes), self.dtype)
                yield read.reshape((count, *self.shape[1:]), order="F" if self.columns_first else "C")

    def read(self, content: BinaryIO, count: int) -> bytes:
        try:
            read = content.read(count)
        except (EOFError, zipfile.BadZipFile, zlib.error, OverflowError) as error:
            raise InputError(f"{self}: the file is damaged or cut short: {error}") from None
        if len(read) != count:
            raise InputError(f"{self}: the file is cut short; fewer values than its header says")
        return read

    def refuse_objects(self, remedy: str) -> None:
        if self.dtype.hasobject:
            raise InputError(f"{self}: an array of Python objects, which could run code when read, is refused; {remedy}")


def stored_in(path: str, name: str) -> tuple[list[StoredArray], list[str]]:
    """The arrays of one npz or npy, and the names of what else is in it. name: of an npy's array."""
    if path.casefold().endswith(".npy"):
        return [describe(path, None, name)], []
    with places.open_file(path) as file, archive_in(file, path) as archive:
        members = [member for member in archive.namelist() if not member.endswith("/")]
    found = [describe(path, member, member.removesuffix(".npy")) for member in members if member.endswith(".npy")]
    return found, [member for member in members if not member.endswith(".npy")]


def describe(path: str, member: str | None, name: str) -> StoredArray:
    with opened(path, member) as content:
        return StoredArray(path, member, name, *header(content, f"{path}: {name}"))


@contextmanager
def opened(path: str, member: str | None) -> Iterator[BinaryIO]:
    """An npy, alone or in an npz, open for reading."""
    with places.open_file(path) as file:
        if member is None:
            yield file
            return
        with archive_in(file, path) as archive, archive.open(member) as content:
            yield content  # type: ignore[misc]


def archive_in(file: BinaryIO, path: str) -> zipfile.ZipFile:
    from pipelines.core import formats

    try:
        return zipfile.ZipFile(file)
    except zipfile.BadZipFile:
        file.seek(0)
        found = formats.describe(file.read(512))
        is_what = f"this is {found}" if found and not found.startswith("a zip") else "this is no npz file, or it is cut short"
        raise InputError(f"{path}: {is_what}; expected what numpy.savez writes") from None


def header(content: BinaryIO, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype of an array, before any of it is read."""
    import numpy as np

    try:
        version = np.lib.format.read_magic(content)
        read: Any = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return read(content)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{name}: not readable as an array: {error}") from None


def named(arrays: Sequence[StoredArray]) -> str:
    return ", ".join(array.name for array in arrays) or "none"
