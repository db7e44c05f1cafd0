"""Files and folders that are written whole or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError


def write(path: Path, content: bytes | str) -> None:
    """Write `path` under a temporary name, then rename: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_arrays(path: Path, **arrays: Any) -> None:
    """Write an npz file in the same way; an array that is None is left out."""
    import numpy as np

    content = io.BytesIO()
    np.savez(content, **{name: array for name, array in arrays.items() if array is not None})
    write(path, content.getvalue())


@contextmanager
def content_errors(path: Path, content: str, hint: str) -> Iterator[None]:
    """Errors inside the block, because `path` is missing or holds no `content`, as an InputError with a hint."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: no usable {content} ({error}); {hint}") from None


@contextmanager
def replacement(folder: Path) -> Iterator[Path]:
    """A new empty folder that replaces `folder` when the block ends well, and vanishes when it does not."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    partial.mkdir()
    try:
        yield partial
        if folder.is_dir():
            shutil.rmtree(folder)
        partial.rename(folder)
        sync(folder.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def make_empty(folder: Path) -> None:
    """Make `folder` an empty one, whatever is there. Of a link only the link is removed."""
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def sync(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def absolute(place: str, root: Path) -> str:
    """A path or URL of the settings as it is, or, where it is a relative path, below `root`."""
    return place if "://" in place or os.path.isabs(os.path.expanduser(place)) else str(root / place)


def writable(path: Path) -> bool:
    """Whether this user may write a file, or into a folder; for what does not exist, whether it can be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return os.access(path, os.W_OK)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file or folder; they may be different paths to it, by a link."""
    try:
        return path == other or path.samefile(other)
    except OSError:
        return False
