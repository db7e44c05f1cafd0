"""Folders that cannot be written, for tests that root runs too, who may write everything."""

from __future__ import annotations

import ctypes
import os
import stat
from pathlib import Path

import pytest

WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
DROP = 24  # PR_CAPBSET_DROP of prctl(2)
RIGHTS = (1, 2, 3)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER: to pass over modes


def close(folder: Path) -> None:
    """Take the right to write from a folder and all that is in it."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~WRITE)


def open_again(folder: Path) -> None:
    """Give it back to the owner, so that pytest can remove the folder."""
    folder.chmod(folder.stat().st_mode | stat.S_IWUSR)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            open_again(path)


def go_by_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process take files for writable by their mode alone. It could write them, so a test looks whether it did."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK or bool(os.stat(path).st_mode & WRITE))


def drop_rights() -> None:
    """For `preexec_fn`: the program that is started then goes by the modes of files, even where root starts it."""
    if os.geteuid() == 0:
        for right in RIGHTS:
            ctypes.CDLL(None).prctl(DROP, right, 0, 0, 0)


def names(folder: Path) -> list[str]:
    """All files and folders in a folder, without what Python compiles."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if "__pycache__" not in path.parts)
