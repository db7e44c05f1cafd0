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

    Hidden files and folders (`.name`) are left out. What is no readable file of its own is refused: links that lead out
    of the folder, links to folders (which could go round in circles), pipes and devices.
    """

    type: Literal["folder"]
    path: str

    def classes(self) -> list[str]:
        return [shown(name) for name in self.subfolders()]

    def items(self) -> Iterator[Item]:
        labels = {name: label for label, name in enumerate(self.subfolders())}
        here = places.local(self.path)
        files = local_files(here) if here else remote_files(self.path)
        for name, image, refused in files:
            top, slash, _ = name.partition("/")
            yield Item(image, labels.get(top) if slash else None, shown(name), refused)

    def subfolders(self) -> list[str]:
        """Names of the subfolders that have something in them, sorted."""
        here = places.local(self.path)
        names = [name for name, _, _ in listed(self.path)] if here is None else list(walk(here))
        if not names:
            raise InputError(f"{self.path}: this folder is empty; put images into it, a subfolder for each class or none")
        return sorted({name.partition("/")[0] for name in names if "/" in name})


def local_files(root: Path) -> Iterator[tuple[str, bytes | None, str | None]]:
    """Name within `root`, content, and why there is none."""
    real = root.resolve()
    for name in walk(root):
        content, refused = read(root / name, real)
        yield name, content, refused


def walk(root: Path) -> Iterator[str]:
    """Everything that is no folder, by name within `root`, sorted; hidden ones left out, links not followed."""
    with places.explained(str(root)):
        if root.exists() and not root.is_dir():
            raise InputError(f"{root}: this is a file, expected a folder of images")
        yield from sorted_walk(root, "")


def sorted_walk(root: Path, inside: str) -> Iterator[str]:
    with os.scandir(root / inside) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        name = f"{inside}/{entry.name}" if inside else entry.name
        if not entry.is_dir(follow_symlinks=False):
            yield name
            continue
        try:
            yield from sorted_walk(root, name)
        except PermissionError:
            yield name  # read() says that it cannot be read


def read(path: Path, root: Path) -> tuple[bytes | None, str | None]:
    """The content of a file, or why it is refused. What is not a regular file is never opened: it might not end."""
    try:
        if path.is_symlink():
            if not path.resolve(strict=True).is_relative_to(root):
                return None, "link out of the folder"
            if path.is_dir():
                return None, "link to a folder"
        # Not blocking, and looked at after it is open: a file could become a pipe in between.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return None, "not a regular file"
            if facts.st_size > places.MOST_BYTES:
                return None, "too many bytes"
            return file.read(places.MOST_BYTES), None
    except (OSError, RuntimeError):
        return None, "not a regular file" if special(path) else "unreadable"


def special(path: Path) -> bool:
    """Whether it is a socket or device, which cannot even be opened."""
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except (OSError, RuntimeError):
        return False


def remote_files(url: str) -> Iterator[tuple[str, bytes | None, str | None]]:
    filesystem, _ = places.remote(url)
    for name, path, size in listed(url):
        if size > places.MOST_BYTES:
            yield name, None, "too many bytes"
            continue
        try:
            content = filesystem.cat_file(path)
        except (FileNotFoundError, PermissionError):
            yield name, None, "unreadable"
            continue
        except Exception:
            with places.explained(url):
                raise
        yield name, content, None


def listed(url: str) -> list[tuple[str, str, int]]:
    """Name within the folder, path in its file system and bytes of every file that is not hidden, sorted by name."""
    filesystem, root = places.remote(url)
    with places.explained(url):
        if not filesystem.exists(root):
            raise FileNotFoundError
        found = filesystem.find(root, detail=True)
    start = len(root.rstrip("/")) + 1
    files = sorted((path[start:], path, facts.get("size") or 0) for path, facts in found.items())
    return [file for file in files if not any(part.startswith(".") for part in file[0].split("/"))]


def shown(name: str) -> str:
    """A file's name as text that can be stored: bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")
