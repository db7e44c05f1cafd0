"""Rows of numbers on disk, read slice by slice: features that memory need not hold."""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from pipelines.core.errors import InputError

CHUNK_BYTES = 2**24  # read, inflated or turned at once


class Stored:
    """(n, d) float32 or float64 in an open file.

    A slice is read where it lies and not mapped: the pages of a map would count as this process's memory.
    """

    def __init__(self, file: IO[bytes], name: str, shape: tuple[int, int], dtype: np.dtype, offset: int) -> None:
        """dtype: of the file; float16 and foreign byte orders are read as float32 and as this machine's."""
        self.file, self.name, self.shape, self.offset = file, name, shape, offset
        self.kept = dtype
        self.dtype = np.dtype(np.float32) if dtype.itemsize == 2 else dtype.newbyteorder("=")
        weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, step = rows.indices(len(self))
        assert step == 1, "rows are read one after the other"
        found = np.empty((max(stop - start, 0), self.shape[1]), self.kept)
        read_into(found, self.file, self.offset + start * self.shape[1] * self.kept.itemsize, self.name)
        return found.astype(self.dtype, copy=False)

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, rows) through all of them."""
        step = rows_at_once(self.shape[1], self.dtype)
        for start in range(0, len(self), step):
            yield start, self[start : start + step]


class Writer:
    """Appends rows to a new file, in the format of .npy."""

    def __init__(self, file: IO[bytes], name: str) -> None:
        self.file, self.name = file, name
        self.rows, self.width, self.dtype = 0, 0, np.dtype(np.float32)

    def append(self, chunk: np.ndarray) -> None:
        """(k, d) of the same d and dtype each time."""
        if not self.rows:
            self.width, self.dtype = chunk.shape[1], chunk.dtype
            self.head()
        assert chunk.shape[1:] == (self.width,), chunk.shape
        assert chunk.dtype == self.dtype, chunk.dtype
        self.file.write(np.ascontiguousarray(chunk).data)
        self.rows += len(chunk)

    def head(self) -> None:
        """The header is as long for any number of rows: NumPy leaves room for it to grow."""
        about = {"descr": self.dtype.str, "fortran_order": False, "shape": (self.rows, self.width)}
        self.file.seek(0)
        np.lib.format.write_array_header_1_0(self.file, about)

    def finish(self) -> Stored:
        """All that was appended."""
        self.head()
        offset = self.file.tell()
        self.file.flush()
        return Stored(self.file, self.name, (self.rows, self.width), self.dtype, offset)


def nameless(name: str) -> Writer:
    """Into a file that no folder shows, and that is gone when it is not needed or this process dies. `name` is for messages."""
    return Writer(unnamed(), name)


def unnamed() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="genloop-")


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Into `path`, which is there, whole, only when the block ends well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            writer = Writer(file, str(path))
            yield writer
            writer.head()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, member: str) -> Stored:
    """The array of an .npy file, or the array `member` of an .npz file.

    Raises:
        InputError: there is none, or it is not (n, d) floats.
    """
    if not path.is_file():
        came = "this is no file" if path.exists() else "there is nothing there"
        raise InputError(f"{path}: {came}; expected an .npz file with an array {member!r}, or an .npy file")
    file = path.open("rb")
    start = file.read(4)
    if start == np.lib.format.MAGIC_PREFIX[:4]:
        return array(file, str(path), 0, path.stat().st_size)
    if start[:2] == b"PK":
        return of_archive(file, path, member)
    raise InputError(f"{path}: neither an .npz nor an .npy file; numpy.savez and numpy.save write them")


def of_archive(file: IO[bytes], path: Path, member: str) -> Stored:
    name = f"{path}: {member}"
    try:
        with zipfile.ZipFile(path) as archive:
            there = [entry.removesuffix(".npy") for entry in archive.namelist()]
            if member not in there:
                raise InputError(f"{path}: no array {member!r}; there are: {', '.join(there) or 'none'}")
            about = archive.getinfo(f"{member}.npy")
            inflated = None if about.compress_type == zipfile.ZIP_STORED else unnamed()
            with archive.open(about) as content:  # to its end, for its checksum is looked at only there
                while chunk := content.read(CHUNK_BYTES):
                    if inflated is not None:
                        inflated.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: the file is damaged or cut short: {error}") from None
    if inflated is not None:
        inflated.flush()
        return array(inflated, name, 0, about.file_size)
    file.seek(about.header_offset + 26)  # the header in the file itself may be longer than the one in the directory
    lengths = file.read(4)
    start = about.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return array(file, name, start, start + about.file_size)


def array(file: IO[bytes], name: str, start: int, end: int) -> Stored:
    """The array between two places of a file."""
    file.seek(start)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, by_column, dtype = read(file)
    except ValueError as error:
        raise InputError(f"{name}: not readable as an array: {error}") from None
    if dtype.hasobject:
        raise InputError(f"{name}: an array of Python objects, which could run code when read, is refused; save floats")
    if dtype.kind != "f" or dtype.itemsize > 8:
        raise InputError(f"{name}: expected features as float16, float32 or float64, came {dtype}")
    if len(shape) != 2 or shape[1] < 1:
        raise InputError(f"{name}: expected features of the shape (n, d), a row for each image, came {shape}")
    offset = file.tell()
    if offset + math.prod(shape) * dtype.itemsize > end:
        raise InputError(f"{name}: the file is cut short; fewer numbers than its header says")
    found = Stored(file, name, (shape[0], shape[1]), dtype, offset)
    return by_rows(found) if by_column and min(shape) > 1 else found


def by_rows(columns: Stored) -> Stored:
    """What lies column after column, as `numpy.save` leaves a transposed array, written again row after row."""
    count, width = columns.shape
    writer = nameless(columns.name)
    step = rows_at_once(width, columns.kept)
    for start in range(0, count, step):
        chunk = np.empty((width, min(step, count - start)), columns.kept)
        for column, part in enumerate(chunk):
            read_into(part, columns.file, columns.offset + (column * count + start) * columns.kept.itemsize, columns.name)
        writer.append(chunk.T)
    return writer.finish()


def read_into(found: np.ndarray, file: IO[bytes], place: int, name: str) -> None:
    """Fill a contiguous array with the bytes from `place` on."""
    left = found.reshape(-1).view(np.uint8).data
    while left:
        count = os.preadv(file.fileno(), [left], place)
        if not count:
            raise InputError(f"{name}: the file has become shorter while it was read")
        left, place = left[count:], place + count


def rows_at_once(width: int, dtype: np.dtype) -> int:
    return max(CHUNK_BYTES // (width * dtype.itemsize), 1)


def digest(rows: Stored) -> str:
    """sha256 of the rows, in hex.

    Raises:
        InputError: a number is not finite.
    """
    found: Any = hashlib.sha256(repr((rows.shape, rows.dtype.str)).encode())
    for first, chunk in rows.chunks():
        finite = np.isfinite(chunk)
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            raise InputError(
                f"{rows.name}: every number must be finite, but row {first + row} has {chunk[row, column]} in column {column}"
            )
        found.update(chunk.data)
    return found.hexdigest()
