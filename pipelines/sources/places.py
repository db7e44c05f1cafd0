"""Places of images: files and folders by a path or an fsspec URL (`s3://bucket/images`), and their faults in words."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
    try:
        return Path(rest).expanduser() if protocol in ("", "file", "local") else None
    except RuntimeError:
        raise InputError(f"{path}: the home folder is not known here; expected a path without `~`") from None


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
        known = "; some that are known: s3, gs, http, https, file" if "Protocol not known" in str(error) else ""
        raise InputError(f"{path}: {error}{known}") from None
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


@dataclass(frozen=True)
class File:
    """A file that a path, a folder or a pattern leads to.

    path: as `open_file` takes it. name: its path below the folder where the search began. version: another text when the
    file was changed. hidden: whether its name or a folder's begins with `.` or `_`, as those of systems and tools do.
    matched: whether the path or pattern named it itself, not a folder that it lies in.
    """

    path: str
    name: str
    version: str
    hidden: bool
    matched: bool


def list_files(path: str, endings: tuple[str, ...]) -> list[str]:
    """The files to read at `path`: a file, a folder or a pattern (`data/**/train-*.parquet`), local or URL; by name.

    Of a folder, those with one of the `endings`, in any case of letters; of a pattern too, or else all that match. Hidden ones
    are left out. Empty where nothing fits; raises InputError where the file, or the folder of a pattern, is not there.
    """
    return [file.path for file in to_read(list_all(path), endings)]


def to_read(files: list[File], endings: tuple[str, ...]) -> list[File]:
    """Of all files at a place, those that `list_files` names."""
    visible = [file for file in files if not file.hidden]
    return [file for file in visible if file.name.casefold().endswith(endings)] or [file for file in visible if file.matched]


def list_all(path: str) -> list[File]:
    """Everything at `path` that is no folder, hidden or not. Links to folders are listed, not followed."""
    local_path = local(path)
    with readable_errors(path):
        found = list_remote(path) if local_path is None else list_local(local_path)
    return sorted(found, key=lambda file: file.name)


def list_local(path: Path) -> list[File]:
    start, matches, pattern = path.parent, [path], path.name
    if not path.exists():
        # Only what does not exist as it is written is a pattern: names of folders may have brackets in them.
        while not start.exists():
            start = start.parent
        pattern = str(path.relative_to(start))
        if not glob.has_magic(Path(pattern).parts[0]):
            raise FileNotFoundError
        matches = [start / name for name in set(glob.glob(pattern, root_dir=start, recursive=True, include_hidden=True))]
    elif path.is_dir():
        start, pattern = path, ""
    found = {}
    for match in matches:
        for file in walk(match) if match.is_dir() else [match]:
            name = str(file.relative_to(start))
            about = file.stat() if file.exists() else file.lstat()  # a link changes with the file that it leads to
            version = f"{about.st_size} {about.st_mtime_ns}"
            found[name] = File(str(file), name, version, is_hidden(name, pattern), file == match)
    return list(found.values())


def walk(folder: Path) -> Iterator[Path]:
    """Everything in a folder that is no folder itself, and folders that cannot be read."""
    unreadable: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unreadable.append):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        yield from (Path(parent, name) for name in [*names, *links])
    yield from (Path(error.filename) for error in unreadable)


def list_remote(url: str) -> list[File]:
    filesystem, path = remote(url)
    filesystem.invalidate_cache()  # a process that lives long sees what came meanwhile
    start, pattern = path.rpartition("/")[0], path.rpartition("/")[2]
    try:
        matches = {path: filesystem.info(path)}
    except FileNotFoundError:
        if not glob.has_magic(path):
            raise
        parts = path.split("/")
        plain = next(place for place, part in enumerate(parts) if glob.has_magic(part))
        start, pattern = "/".join(parts[:plain]), "/".join(parts[plain:])
        matches = filesystem.glob(path, detail=True)
        if not matches and start and not filesystem.exists(start):
            raise
    else:
        if matches[path]["type"] == "directory" or url.endswith("/"):
            start, pattern = path.rstrip("/"), ""
    found = {}
    for match, about in matches.items():
        is_folder = about["type"] == "directory" or match.rstrip("/") == start
        for file, facts in (filesystem.find(match, detail=True) if is_folder else {match: about}).items():
            name = file[len(start) :].lstrip("/")
            version = str(sorted((key, str(value)) for key, value in facts.items()))
            found[name] = File(whole_url(url, file), name, version, is_hidden(name, pattern), not is_folder)
    return list(found.values())


def whole_url(url: str, path: str) -> str:
    """The URL of another `path` in the file system of `url`, which may be chained (`zip://*.parquet::s3://bucket/a.zip`)."""
    first, chain, rest = url.partition("::")
    if not chain:
        return remote(url)[0].unstrip_protocol(path)
    protocol, separator, _ = first.partition("://")
    return f"{protocol}://{path}::{rest}" if separator else f"{first}::{whole_url(rest, path)}"


def is_hidden(name: str, pattern: str) -> bool:
    """Whether a part of the name begins with `.` or `_`, and no part of the pattern does."""
    signs = (".", "_")
    return any(part.startswith(signs) for part in name.split("/")) and not any(
        part.startswith(signs) for part in pattern.split("/")
    )


def state(path: str) -> str:
    """A digest of the names and versions of the files at `path`: another one when something came, changed or went.

    Raises GenloopError where they cannot be read now.
    """
    return hashlib.sha256(repr([(file.name, file.version) for file in list_all(path)]).encode()).hexdigest()
