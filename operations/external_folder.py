"""The folder of an external model in a copy of the project: there under the same path, with the interpreter that it names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.external import content
from pipelines.external.training import CODE
from pipelines.models import base
from pipelines.registry.client import Registry
from pipelines.settings import manifest
from pipelines.settings.schema import Params

RESTORED = "external-model"  # in a rebuild: where the content of a folder goes that is not in the project


def settings_in_copy(project: Project, params: Params, copy: Project) -> list[str]:
    """Settings `key=value` by which a copy of the project finds the external model; its environment is linked there.

    A folder in the project is copied with it, and any other one is named by its whole path.

    Raises:
        InputError: git ignores the folder, so no copy has it.
    """
    if params.model.manifest is None:
        return []
    folder = params.model.folder
    if Path(params.model.external).is_absolute():
        return []
    if not folder.is_relative_to(project.root):
        return [f"model.external={folder}"]
    copied = copy.root / folder.relative_to(project.root)
    if not (copied / manifest.NAME).is_file():
        raise InputError(
            f"model.external: {params.model.external} is not in the copy of the project, because git ignores it; take it "
            f"out of .gitignore, or name its whole path, {folder}"
        )
    link_environment(folder, copied)
    return []


def restore(project: Project, registry: Registry, number: int, settings: Mapping[str, Any], copy: Project) -> str | None:
    """Give a rebuild of version `number` the external folder as the version carries it, whatever became of it since.

    Args:
        settings: of the version. copy: the rebuild's.

    Returns:
        The value for model.external, where it must be another one.
    """
    model = settings["model"]
    if model.get("family") != catalogue.EXTERNAL:
        return None
    named = model.get("external", "")
    relative = not Path(named).expanduser().is_absolute() and (copy.root / named).resolve().is_relative_to(copy.root.resolve())
    original = Path(files.absolute(named, project.root)).expanduser()
    own = copy.logs / "version"
    registry.fetch(own, number)
    try:
        about = base.describe(own)
        expected = (about.external or {}).get("content")
        if not relative and is_content(original, expected):
            return os.path.abspath(original)
        folder = copy.root / (named if relative else RESTORED)
        if not is_content(folder, expected):
            content.copy(own / CODE, folder)
        link_environment(original, folder)
        return None if relative else RESTORED
    finally:
        shutil.rmtree(own, ignore_errors=True)


def is_content(folder: Path, expected: str | None) -> bool:
    return folder.is_dir() and content.digest(folder) == expected


def link_environment(original: Path, folder: Path) -> None:
    """Link the hidden folder that a manifest's relative interpreter is in, as `.venv`, which no copy carries."""
    python = manifest.read(folder).python
    if python is None or Path(python).expanduser().is_absolute():
        return
    first = Path(python).parts[0]
    if first.startswith(".") and first != ".." and (original / first).is_dir() and not (folder / first).exists():
        (folder / first).symlink_to((original / first).resolve())
