"""folder: image files in a folder, a subfolder for each class, or all in one without labels."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pipelines.core.errors import InputError
from pipelines.sources import places
from pipelines.sources.base import Item, Source


class Folder(Source):
    """Every file below a subfolder has the subfolder's name as its class; files beside the subfolders have no label.

    Hidden files and folders (`.name`) are left out. Everything but readable files is refused: links that lead out of the
    folder, links to folders (which could go round in circles), pipes and devices.
    """

    type: Literal["folder"]
    path: str

    def classes(self) -> list[str]:
        return [printable(name) for name in self.subfolders()]

    def items(self) -> Iterator[Item]:
        labels = {name: label for label, name in enumerate(self.subfolders())}
        folder = places.local(self.path)
        for name, image, refused in local_files(folder) if folder else remote_files(self.path):
            top, slash, _ = name.partition("/")
            yield Item(image, labels.get(top) if slash else None, printable(name), refused)

    def subfolders(self) -> list[str]:
        """Names of the subfolders that have something in them, sorted."""
        folder = places.local(self.path)
        names = [name for name, _, _ in list_remote(self.path)] if folder is None else list(walk(folder))
        if not names:
            raise InputError(f"{self.path}: this folder is empty; put images into it, a subfolder for each class or none")
        return sorted({name.partition("/")[0] for name in names if "/" in name})


def local_files(root: Path) -> Iterator[tuple[str, bytes | None, str | None]]:
    """Name within `root`, content, and the reason where there is none."""
    real = root.resolve()
    return ((name, *read(root / name, real)) for name in walk(root))


def walk(root: Path) -> Iterator[str]:
    """Everything that is no folder, by name within `root`, sorted; hidden ones left out, links not followed."""
    with places.readable_errors(str(root)):
        if root.exists() and not root.is_dir():
            raise InputError(f"{root}: this is a file, expected a folder of images")
        yield from walk_in_order(root, "")


def walk_in_order(root: Path, inside: str) -> Iterator[str]:
    with os.scandir(root / inside) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        name = f"{inside}/{entry.name}" if inside else entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield name
            continue
        try:
            yield from walk_in_order(root, name)
        except PermissionError:
            yield name  # read() says that it cannot be read


def read(path: Path, root: Path) -> tuple[bytes | None, str | None]:
    """The content of a file, or the reason why it is refused. Only a regular file is read: others might not end."""
    try:
        if path.is_symlink():
            if not path.resolve(strict=True).is_relative_to(root):
                return None, "link out of the folder"
            if path.is_dir():
                return None, "link to a folder"
        # Without blocking, and checked after it is open: a file could become a pipe in between.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return None, "not a regular file"
            if facts.st_size > places.MOST_BYTES:
                return None, "too many bytes"
            return file.read(places.MOST_BYTES), None
    except (OSError, RuntimeError):
        return None, "not a regular file" if is_special(path) else "unreadable"


def is_special(path: Path) -> bool:
    """Whether it is a socket or device, which cannot even be opened."""
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except (OSError, RuntimeError):
        return False


def remote_files(url: str) -> Iterator[tuple[str, bytes | None, str | None]]:
    filesystem, _ = places.remote(url)
    for name, path, size in list_remote(url):
        if size > places.MOST_BYTES:
            yield name, None, "too many bytes"
            continue
        try:
            content = filesystem.cat_file(path)
        except (FileNotFoundError, PermissionError):
            yield name, None, "unreadable"
            continue
        except Exception:
            with places.readable_errors(url):
                raise
        yield name, content, None


def list_remote(url: str) -> list[tuple[str, str, int]]:
    """Name within the folder, path in its file system and bytes of every file that is not hidden, sorted by name."""
    filesystem, root = places.remote(url)
    with places.readable_errors(url):
        if not filesystem.exists(root):
            raise FileNotFoundError
        found = filesystem.find(root, detail=True)
    start = len(root.rstrip("/")) + 1
    files = sorted((path[start:], path, facts.get("size") or 0) for path, facts in found.items())
    return [file for file in files if not any(part.startswith(".") for part in file[0].split("/"))]


def printable(name: str) -> str:
    """A file's name as text that can be stored: bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")
