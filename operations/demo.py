"""Demo: a project of its own in which simulated raters vote, so that nothing of theirs gets into the user's."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest
from pipelines.settings.load import update_params
from workspace import scratch

FOLDER = "demo"
OVERLAY = Path("examples/demo.yaml")


def prepare(project: Project) -> Project:
    """The project's folder `demo`: a copy with small settings, made at the first call; later ones go on with it."""
    folder = project.root / FOLDER
    if (folder / ".git").is_dir():
        return scratch.in_folder(project, folder)
    if folder.exists():  # its making was interrupted
        shutil.rmtree(folder)
    copy = scratch.copy(project, folder, excluded=folder, with_data=False)
    manifest.update(copy.feedback, copy.manifest)
    update_params(copy.params_file, [copy.root / OVERLAY])
    scratch.commit(copy)
    return copy
