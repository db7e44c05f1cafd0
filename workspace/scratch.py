"""A scratch copy of a project: fresh stages stay fresh, and nothing that is done in the copy changes the original.

Code and settings are copied as they are now, committed or not, and put under git anew, because folds are committed. Data is
copied without any feedback. Of DVC's cache the copy gets the files that the data is kept in, as hard links where that is
possible: DVC writes a file of its cache once and never changes it, so deleting one in the copy leaves the original's in place.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from workspace import dvc_cache, git
from workspace.locks import run_lock

# Not copied from a project outside of git.
EXCLUDED = (".git", ".venv", "__pycache__", "data", "mlruns", "mlflow.db*", "checkpoints", "logs", "cache", "tmp", "*.local")
FEEDBACK = ("feedback", "feedback.*", ".feedback*", "uploads", "*.db*", "*.partial", "*.lock")  # in data/
SHARED_GPU = {
    # For processes that use one GPU at the same time: none may take all of its memory.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def copy(project: Project, folder: Path, excluded: Path, with_data: bool = True) -> Project:
    """A copy of the project as the new `folder`, with a registry and a database of its own; `commit` puts it under git.

    What it makes goes to no remote and to no bucket.

    excluded: a folder that is not copied; it may lie in the project, and hold `folder`. with_data: and so with fresh stages.
    """
    with run_lock(project):
        folder.mkdir(parents=True)
        for path in project_files(project, excluded):
            copy_file(path, folder / project.relative(path))
        if with_data:
            copy_data(project.data, folder / project.relative(project.data))
            link_cache(project, folder)
    if not with_data:
        (folder / project.relative(project.dvc_lock)).unlink(missing_ok=True)
        (folder / project.relative(project.noise_lock)).unlink(missing_ok=True)
    link_packages(project, folder)
    return in_folder(project, folder)


def in_folder(project: Project, folder: Path) -> Project:
    """The copy in `folder`, with the registry and the database of its own."""
    return Project(folder, {**SHARED_GPU, **project.environment}).with_variables(
        {
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
            "MLFLOW_DEFAULT_ARTIFACT_ROOT": "",
            "GENLOOP_DATABASE_URL": f"sqlite:///{folder / 'data/feedback.db'}",
            "GENLOOP_REMOTE_URL": "",
            # It is another project, which speaks to nobody.
            "GENLOOP_PROJECT_NAME": "",
            "GENLOOP_WEBHOOK_URL": "",
            "GENLOOP_WEBHOOK_SECRET": "",
        }
    )


def project_files(project: Project, excluded: Path) -> Iterator[Path]:
    """The files of the project, data and those in `excluded` left out."""
    listed = git.files(project)
    for path in sorted(walk(project.root, excluded)) if listed is None else [project.root / name for name in listed]:
        exists = path.is_symlink() or path.is_file()  # git lists deleted files too
        if exists and project.relative(path).parts[0] not in ("data", ".venv") and not path.is_relative_to(excluded):
            yield path


def walk(folder: Path, excluded: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if any(path.match(name) for name in EXCLUDED) or path == excluded:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from walk(path, excluded)
        else:
            yield path


def copy_file(path: Path, copied: Path) -> None:
    copied.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copied, follow_symlinks=False)


def copy_data(data: Path, copied: Path) -> None:
    """Copy the outputs of stages, without any feedback."""
    copied.mkdir()
    for path in data.iterdir() if data.is_dir() else ():
        if any(path.match(name) for name in FEEDBACK):
            continue
        if path.is_dir():
            shutil.copytree(path, copied / path.name)
        else:
            copy_file(path, copied / path.name)


def link_packages(project: Project, folder: Path) -> None:
    """Link the copy to the project's .venv, if it has one."""
    if (project.root / ".venv").is_dir() and not (folder / ".venv").exists():
        (folder / ".venv").symlink_to((project.root / ".venv").resolve())


def link_cache(project: Project, folder: Path) -> None:
    """Make a DVC cache of the copy's own, with the objects of all stages' outputs."""
    (folder / ".dvc").mkdir(exist_ok=True)
    files.write(folder / ".dvc" / "config.local", "[cache]\n    dir = cache\n")
    for cached in dvc_cache.objects(project, lambda out: Path(out.fs_path) != project.feedback):
        if cached.is_file():
            link(cached, folder / ".dvc" / "cache" / "files" / "md5" / cached.parent.name / cached.name)


def link(path: Path, linked: Path) -> None:
    linked.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, linked)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(path, linked)


def commit(project: Project) -> None:
    """Put a copy under git, all of it in one commit."""
    for arguments in (("init", "--quiet", "--template="), ("add", "--all"), ("commit", "--quiet", "-m", "Copy")):
        done = git.git(project, *git.NO_PROMPTS, *git.FALLBACK_AUTHOR, *arguments)
        if done.returncode:
            raise GenloopError(f"git {arguments[0]}: {git.error_message(done)}")
