"""Arrays on disk that are read slice by slice: features that memory need not hold."""

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

CHUNK_BYTES = 2**24  # read, inflated or transposed at once


class DiskArray:
    """(n, d) float32 or float64 in an open file.

    A slice is read where it lies and not mapped: the pages of a map would count as this process's memory.
    """

    def __init__(self, file: IO[bytes], name: str, shape: tuple[int, int], dtype: np.dtype, offset: int) -> None:
        """dtype: of the file; float16 is read as float32, and other byte orders as this machine's."""
        self.file, self.name, self.shape, self.offset = file, name, shape, offset
        self.file_dtype = dtype
        self.dtype = np.dtype(np.float32) if dtype.itemsize == 2 else dtype.newbyteorder("=")
        weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        start, stop, step = rows.indices(len(self))
        assert step == 1, "rows are read one after the other"
        found = np.empty((max(stop - start, 0), self.shape[1]), self.file_dtype)
        read_into(found, self.file, self.offset + start * self.shape[1] * self.file_dtype.itemsize, self.name)
        return found.astype(self.dtype, copy=False)

    def chunks(self) -> Iterator[tuple[int, np.ndarray]]:
        """(first row, rows) through all of them."""
        step = rows_at_once(self.shape[1], self.dtype)
        for start in range(0, len(self), step):
            yield start, self[start : start + step]


class DiskArrayWriter:
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

    def finish(self) -> DiskArray:
        """All that was appended."""
        self.head()
        offset = self.file.tell()
        self.file.flush()
        return DiskArray(self.file, self.name, (self.rows, self.width), self.dtype, offset)


def temporary_writer(name: str) -> DiskArrayWriter:
    """A writer into a file that no folder shows, gone when nothing needs it or this process dies. `name` is for messages."""
    return DiskArrayWriter(temporary_file(), name)


def temporary_file() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="genloop-")


@contextmanager
def create(path: Path) -> Iterator[DiskArrayWriter]:
    """A writer into `path`, which exists, whole, only when the block ends well."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            writer = DiskArrayWriter(file, str(path))
            yield writer
            writer.head()
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path, member: str) -> DiskArray:
    """The array of an .npy file, or `member` of an .npz file; raises InputError where there is none of (n, d) floats."""
    if not path.is_file():
        fault = "this is no file" if path.exists() else "there is nothing there"
        raise InputError(f"{path}: {fault}; expected an .npz file with an array {member!r}, or an .npy file")
    file = path.open("rb")
    start = file.read(4)
    if start == np.lib.format.MAGIC_PREFIX[:4]:
        return read_array(file, str(path), 0, path.stat().st_size)
    if start[:2] == b"PK":
        return load_member(file, path, member)
    raise InputError(f"{path}: neither an .npz nor an .npy file; numpy.savez and numpy.save write them")


def load_member(file: IO[bytes], path: Path, member: str) -> DiskArray:
    name = f"{path}: {member}"
    try:
        with zipfile.ZipFile(path) as archive:
            names = [entry.removesuffix(".npy") for entry in archive.namelist()]
            if member not in names:
                raise InputError(f"{path}: no array {member!r}; there are: {', '.join(names) or 'none'}")
            about = archive.getinfo(f"{member}.npy")
            inflated = None if about.compress_type == zipfile.ZIP_STORED else temporary_file()
            with archive.open(about) as content:  # to its end, because only there its checksum is checked
                while chunk := content.read(CHUNK_BYTES):
                    if inflated is not None:
                        inflated.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path}: the file is damaged or cut short: {error}") from None
    if inflated is not None:
        inflated.flush()
        return read_array(inflated, name, 0, about.file_size)
    file.seek(about.header_offset + 26)  # the header in the file itself may be longer than the one in the directory
    lengths = file.read(4)
    start = about.header_offset + 30 + int.from_bytes(lengths[:2], "little") + int.from_bytes(lengths[2:], "little")
    return read_array(file, name, start, start + about.file_size)


def read_array(file: IO[bytes], name: str, start: int, end: int) -> DiskArray:
    """The array between two offsets of a file."""
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
    found = DiskArray(file, name, (shape[0], shape[1]), dtype, offset)
    return to_row_order(found) if by_column and min(shape) > 1 else found


def to_row_order(columns: DiskArray) -> DiskArray:
    """An array that lies column by column, as `numpy.save` writes a transposed one, written again row by row."""
    count, width = columns.shape
    writer = temporary_writer(columns.name)
    step = rows_at_once(width, columns.file_dtype)
    for start in range(0, count, step):
        chunk = np.empty((width, min(step, count - start)), columns.file_dtype)
        for column, part in enumerate(chunk):
            read_into(part, columns.file, columns.offset + (column * count + start) * columns.file_dtype.itemsize, columns.name)
        writer.append(chunk.T)
    return writer.finish()


def read_into(found: np.ndarray, file: IO[bytes], place: int, name: str) -> None:
    """Fill a contiguous array with the bytes from `place` on."""
    buffer = found.reshape(-1).view(np.uint8).data
    while buffer:
        count = os.preadv(file.fileno(), [buffer], place)
        if not count:
            raise InputError(f"{name}: the file has become shorter while it was read")
        buffer, place = buffer[count:], place + count


def rows_at_once(width: int, dtype: np.dtype) -> int:
    return max(CHUNK_BYTES // (width * dtype.itemsize), 1)


def digest(rows: DiskArray) -> str:
    """sha256 of the rows, in hex; raises InputError where a number is not finite."""
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
