"""The content of an external model's folder: the files that a version carries, their hash, and a copy of them.

Hidden files and folders (`.venv`, `.git`) and compiled Python never belong to it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipelines.core import files
from pipelines.core.errors import InputError

MOST_BYTES = 200 * 10**6  # a version carries them, and so do git and DVC


def list_files(folder: Path) -> list[Path]:
    """The files of the content, by their paths below `folder`.

    Raises:
        InputError: one is neither a file nor a folder, or a link that leads to no file.
    """
    return sorted(path.relative_to(folder) for path in walk(folder))


def walk(folder: Path) -> Iterator[Path]:
    for entry in os.scandir(folder):
        if entry.name.startswith(".") or entry.name == "__pycache__" or entry.name.endswith(".pyc"):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from walk(Path(entry.path))
        elif entry.is_file():
            yield Path(entry.path)
        else:
            kind = "a link to a folder, or to nothing" if entry.is_symlink() else "neither a file nor a folder"
            raise InputError(f"{entry.path}: {kind}; a version carries files, so put the files themselves there, or remove it")


def check(folder: Path) -> None:
    """Raises InputError where the content is larger than a version may carry."""
    sizes = {path: (folder / path).stat().st_size for path in list_files(folder)}
    if (total := sum(sizes.values())) > MOST_BYTES:
        largest = max(sizes, key=lambda path: sizes[path])
        raise InputError(
            f"{folder}: its files have {total / 1e6:,.0f} MB, expected at most {MOST_BYTES / 1e6:,.0f} MB, because each "
            f"version carries them; the largest is {largest} with {sizes[largest] / 1e6:,.0f} MB. Keep pretrained weights "
            "elsewhere, where train and sampler find them, or in a hidden folder"
        )


def hashes(folder: Path) -> dict[str, str]:
    """sha256 of each file of the content, by its path below `folder` with slashes."""
    return {path.as_posix(): files.sha256(folder / path) for path in list_files(folder)}


def digest(folder: Path) -> str:
    """A hash of the content: of all paths and bytes."""
    lines = (f"{digest}  {path}\n" for path, digest in hashes(folder).items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def copy(folder: Path, target: Path) -> None:
    """Copy the content into the new folder `target`; what was there is removed. Links become the files that they lead to."""
    files.make_empty(target)
    for path in list_files(folder):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(folder / path, target / path)
