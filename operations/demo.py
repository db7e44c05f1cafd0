"""Demo: a project of its own in which simulated raters vote, so that nothing of theirs gets into the user's."""

from __future__ import annotations

import shutil
from pathlib import Path

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest
from pipelines.settings.load import update_params
from workspace import scratch

FOLDER, PARTIAL = "demo", ".demo.partial"
MARK = Path(".git/genloop-demo")  # by which we know our own
OVERLAY = Path("examples/demo.yaml")


def prepare(project: Project) -> Project:
    """The project's folder `demo`: a copy with small settings, made at the first call; later ones go on with it.

    Raises InputError where there is another folder of that name.
    """
    folder, partial = project.root / FOLDER, project.root / PARTIAL
    if folder.exists():
        if not (folder / MARK).is_file():
            raise InputError(f"{FOLDER}/ is not the demo's; give it another name, because the demo is made there")
        return scratch.in_folder(project, folder)
    shutil.rmtree(partial, ignore_errors=True)  # of a call that was interrupted
    copy = scratch.copy(project, partial, excluded=partial, with_data=False)
    manifest.update(copy.feedback, copy.manifest)
    update_params(copy.params_file, [copy.root / OVERLAY])
    scratch.commit(copy)
    (partial / MARK).touch()
    partial.rename(folder)
    return scratch.in_folder(project, folder)
