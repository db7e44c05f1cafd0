"""Places of images: files and folders by a path or an fsspec URL (`s3://bucket/images`), and their faults in words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipelines.core.errors import GenloopError, InputError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# A larger file is never read; ingest.max_bytes refuses smaller ones.
MOST_BYTES = 256 * 2**20


def local(path: str) -> Path | None:
    """The path on this machine that `path` names; None where it is a URL of another place."""
    protocol, _, rest = path.rpartition("://")
    return Path(rest).expanduser() if protocol in ("", "file", "local") else None


def remote(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path in it."""
    import fsspec

    with readable_errors(url):
        return fsspec.url_to_fs(url)


@contextmanager
def readable_errors(path: str) -> Iterator[None]:
    """Faults of a place in words. One that may go away by itself (a network) is no `InputError`, so it is tried again."""
    try:
        yield
    except (GenloopError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: there is nothing there; expected a path, or a URL such as s3://bucket/images") from None
    except PermissionError as error:
        raise InputError(f"{path}: no permission to read it ({error})") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder, expected a file") from None
    except ImportError as error:
        raise InputError(f"{path}: {error}; it is a Python package (`pip install`)") from None
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    except Exception as error:
        raise GenloopError(f"{path}: cannot be read: {type(error).__name__}: {error}") from error


@contextmanager
def open_file(path: str) -> Iterator[BinaryIO]:
    """The file at `path`, open for reading. Devices and pipes, which might never end, are not opened."""
    local_path = local(path)
    with readable_errors(path):
        if local_path is None:
            filesystem, inside = remote(path)
            file = filesystem.open(inside, "rb")
        elif local_path.exists() and not local_path.is_file():
            raise InputError(f"{path}: this is no regular file; expected a file")
        else:
            file = local_path.open("rb")
    with file:
        yield file


def state(path: str) -> str:
    """A digest of the names, sizes and times of the files at `path`: another one when something was added or changed.

    Raises GenloopError where they cannot be read now.
    """
    local_path = local(path)
    digest = hashlib.sha256()
    with readable_errors(path):
        if local_path is None:
            filesystem, inside = remote(path)
            for name, about in sorted(filesystem.find(inside, detail=True).items()):
                digest.update(repr((name, about.get("size"), filesystem.ukey(name))).encode())
        else:
            files = sorted(local_path.rglob("*")) if local_path.is_dir() else [local_path]
            for file in files:
                about = file.lstat()
                digest.update(repr((str(file.relative_to(local_path)), about.st_size, about.st_mtime_ns)).encode())
    return digest.hexdigest()
