"""Files and folders by a path or an fsspec URL (`s3://bucket/images`), and what to say when they cannot be had."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pipelines.core.errors import GenloopError, InputError

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# A larger file is never read to see whether it is an image; ingest.max_bytes refuses smaller ones.
MOST_BYTES = 256 * 2**20


def local(path: str) -> Path | None:
    """The path on this machine that `path` names; None where it is a URL of another place."""
    protocol, _, rest = path.rpartition("://")
    return Path(rest).expanduser() if protocol in ("", "file", "local") else None


def remote(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path in it."""
    import fsspec

    with explained(url):
        return fsspec.url_to_fs(url)


@contextmanager
def explained(path: str) -> Iterator[None]:
    """Faults of a place in words; what may go away by itself (a network) is no `InputError`: it is tried again."""
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
def opened(path: str) -> Iterator[BinaryIO]:
    """The file at `path`, open for reading. Devices and pipes, which might never end, are not opened."""
    here = local(path)
    with explained(path):
        if here is None:
            filesystem, inside = remote(path)
            file = filesystem.open(inside, "rb")
        elif here.exists() and not here.is_file():
            raise InputError(f"{path}: this is no regular file; expected a file")
        else:
            file = here.open("rb")
    with file:
        yield file


def state(path: str) -> str:
    """A digest of the names, sizes and times of what is at `path`: another one when something was added or changed.

    Raises:
        InputError, GenloopError: it cannot be had now.
    """
    here = local(path)
    digest = hashlib.sha256()
    with explained(path):
        if here is None:
            filesystem, inside = remote(path)
            for name, about in sorted(filesystem.find(inside, detail=True).items()):
                digest.update(repr((name, about.get("size"), filesystem.ukey(name))).encode())
        else:
            files = sorted(here.rglob("*")) if here.is_dir() else [here]
            for file in files:
                about = file.lstat()
                digest.update(repr((str(file), about.st_size, about.st_mtime_ns)).encode())
    return digest.hexdigest()
