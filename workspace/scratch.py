"""A copy of a project to try things out in: what was fresh stays fresh, and nothing that is done there reaches the original.

Code and settings are copied as they are now, committed or not, and put under git anew, for folds are committed. Data is copied
without any feedback. Of DVC's cache the copy gets the files that the data is kept in, as hard links where that is possible: DVC
writes a file of its cache once and never changes it, so to take one away there leaves the original's in place.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.core import files, paths
from pipelines.feedback.sealed import manifest
from pipelines.settings.load import load_params
from pipelines.settings.overlay import update_params
from workspace import dvc_cache
from workspace.locks import alone

# What is left out where git does not say what belongs to the project.
OTHERS = (".git", ".venv", "__pycache__", "data", "mlruns", "mlflow.db*", "checkpoints", "logs", "cache", "tmp", "*.local")
OF_FEEDBACK = ("feedback", "feedback.*", ".feedback*", "uploads", "*.db*", "*.partial", "*.lock")  # in data/
ENVIRONMENT = {
    # The loop draws in its own process while stages train in theirs: neither may take a whole GPU.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


def copy(start: Path, folder: Path, apart: Path) -> None:
    """A copy of the project in `start` as the new `folder`.

    Args:
        apart: a folder that is not copied; it may lie in `start`, and hold `folder`.

    Raises:
        InputError: `start` is no project of DVC's.
        GenloopError: a run is going on there.
    """
    with inside(start, {}), alone():
        folder.mkdir(parents=True)
        for path in listed(apart):
            place(path, folder / path)
        copy_data(folder)
        link_cache(folder)
        params = load_params(folder / paths.PARAMS)
    # A relative path would be looked for beside the copy.
    sources = [(number, getattr(source, "path", None)) for number, source in enumerate(params.sources)]
    absolute = [f"sources.{number}.path={json.dumps(str(start / path))}" for number, path in sources if path and local(path)]
    update_params([], absolute, folder / paths.PARAMS)
    commit(folder)
    if (start / ".venv").is_dir():
        (folder / ".venv").symlink_to((start / ".venv").resolve())


def listed(apart: Path) -> Iterator[Path]:
    """The files of the project in the working directory, data and what is in `apart` left out."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    found = subprocess.run(asked, capture_output=True, check=False)
    if found.returncode == 0:
        names = {Path(os.fsdecode(name)) for name in found.stdout.split(b"\0") if name}
    else:
        names = set(walk(Path(), apart))
    for path in sorted(names):
        present = path.is_symlink() or path.is_file()  # git lists what was deleted and not committed, too
        if present and path.parts[0] not in ("data", ".venv") and not path.absolute().is_relative_to(apart):
            yield path


def walk(folder: Path, apart: Path) -> Iterator[Path]:
    for path in folder.iterdir():
        if any(path.match(other) for other in OTHERS) or path.absolute() == apart:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from walk(path, apart)
        else:
            yield path


def place(path: Path, copied: Path) -> None:
    copied.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, copied, follow_symlinks=False)


def copy_data(folder: Path) -> None:
    """What the stages made, in `folder`, without what people said."""
    data = paths.REPORTS.parent
    (folder / data).mkdir()
    for path in data.iterdir() if data.is_dir() else ():
        if any(path.match(name) for name in OF_FEEDBACK):
            continue
        if path.is_dir():
            shutil.copytree(path, folder / path)
        else:
            place(path, folder / path)
    manifest.update(folder / paths.FEEDBACK, folder / paths.MANIFEST)


def link_cache(folder: Path) -> None:
    """A cache of its own for the copy, with what the outputs of all stages are kept in."""
    (folder / ".dvc").mkdir(exist_ok=True)
    files.write(folder / ".dvc" / "config.local", "[cache]\n    dir = cache\n")
    feedback = paths.FEEDBACK.absolute()
    for kept in dvc_cache.objects(lambda out: Path(out.fs_path) != feedback):
        if kept.is_file():
            link(kept, folder / ".dvc" / "cache" / "files" / "md5" / kept.parent.name / kept.name)


def link(path: Path, linked: Path) -> None:
    linked.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, linked)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(path, linked)


def local(path: str) -> bool:
    return "://" not in path and not Path(path).is_absolute()


def commit(folder: Path) -> None:
    author = ("-c", "user.name=Genloop", "-c", "user.email=genloop@localhost", "-c", "commit.gpgsign=false")
    for arguments in (("init", "--quiet", "--template="), ("add", "--all"), (*author, "commit", "--quiet", "-m", "Copy")):
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


@contextmanager
def inside(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """`folder` as the working directory, and variables of the environment, which its stages see too."""
    before, here = dict(os.environ), Path.cwd()
    try:
        os.chdir(folder)
        os.environ.update(environment)
        yield
    finally:
        os.chdir(here)
        os.environ.clear()
        os.environ.update(before)


def variables(folder: Path) -> dict[str, str]:
    """A registry and a database of the copy's own."""
    return {
        **{name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()},
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}",
        "GENLOOP_DATABASE_URL": f"sqlite:///{folder / 'data/feedback.db'}",
    }
