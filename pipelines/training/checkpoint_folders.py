"""Folders of checkpoints: one for each training, named by all that its course depends on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.core import files

KEEP_KEYS = 3


def key(settings: dict[str, Any], code: Iterable[Path]) -> str:
    """A name for all that the course of a training depends on: a checkpoint of anything else must not be found."""
    stamps = {path.name: files.sha256(path) for path in code}
    text = json.dumps({"settings": settings, "code": stamps}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def prune(keep: Path) -> None:
    """Remove the folders beside `keep`, of other trainings, all but the newest few: somebody may go back to those settings."""
    folders = (path for path in keep.parent.glob("*/") if path != keep)
    for old in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)[KEEP_KEYS - 1 :]:
        shutil.rmtree(old, ignore_errors=True)
