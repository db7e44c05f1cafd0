"""A worktree of a version's commit as a project of its own: with the version's settings and data, and this project's cache."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ruamel.yaml import YAML

from operations import external_folder
from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.limits import cores
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.registry.client import Registry
from pipelines.registry.lineage import Lineage
from pipelines.registry.versions import CHAMPION, WORKSPACE, NoVersionError, Version
from workspace import dvc, dvc_cache, git, locks, scratch

REUSED_STAGE = "ingest"  # the stage whose outputs are taken as they were


def check_rebuildable(project: Project, registry: Registry, lineage: Lineage) -> None:
    """Raises InputError where the version's commit or its parent does not exist any more."""
    if lineage.commit is None:
        raise InputError(f"version {lineage.version} has no commit, so its code is not known: {lineage.no_commit}")
    if (reason := git.missing_commit(project)) is not None:
        raise InputError(f"version {lineage.version} was made at commit {lineage.commit}, which git cannot give: {reason}")
    if git.git(project, "cat-file", "-e", f"{lineage.commit}^{{commit}}").returncode:
        way = (
            "`git fetch --unshallow` brings older commits" if git.is_shallow(project) else "`git fetch` brings those of others"
        )
        raise InputError(
            f"version {lineage.version} was made at commit {lineage.commit}, which is not in this repository; {way}"
        )
    if lineage.parents:
        try:
            registry.version(lineage.parents[0])
        except NoVersionError as error:
            raise InputError(f"version {lineage.version} was trained on from a missing version: {error}") from None


@contextmanager
def open_worktree(project: Project, registry: Registry, lineage: Lineage, keep: bool) -> Iterator[Project]:
    """The project at the version's commit, in a folder of its own. keep: leave the folder there.

    Git ignores the folder. It is on the disk of DVC's cache, in most projects, so that files can be linked.
    """
    top = folder(project) / f"version-{lineage.version}"
    message = f"version {lineage.version} is being rebuilt at this moment; wait for that to end"
    with locks.hold(top.with_suffix(".lock"), message):
        remove(project, top)  # kept by --keep, or left by a rebuild that was killed
        try:
            added = git.git(project, *git.NO_PROMPTS, "worktree", "add", "--detach", "--quiet", str(top), str(lineage.commit))
            if added.returncode:
                raise GenloopError(f"git worktree: {git.error_message(added)}")
            root = top / git.git(project, "rev-parse", "--show-prefix").stdout.strip()
            yield Project(root, {**project.environment, **environment(registry, lineage)})
        finally:
            if not keep:
                remove(project, top)


def folder(project: Project) -> Path:
    """Where worktrees are made."""
    return project.logs / "rebuild"


def is_used(top: Path) -> bool:
    """Whether a rebuild is going on in this worktree."""
    try:
        with locks.hold(top.with_suffix(".lock"), "a rebuild is going on"):
            return False
    except GenloopError:
        return True


def remove_unused(project: Project, top: Path) -> bool:
    """Remove a worktree, unless a rebuild is going on in it; returns whether it did."""
    try:
        with locks.hold(top.with_suffix(".lock"), "a rebuild is going on"):
            remove(project, top)
    except GenloopError:
        return False
    return True


def remove(project: Project, top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)
    git.git(project, "worktree", "prune")


def environment(registry: Registry, lineage: Lineage) -> dict[str, str]:
    """Variables for the rebuild: this registry, which has the parent, and the backend and threads that the version had."""
    machine, found = lineage.machine, {"MLFLOW_TRACKING_URI": registry.uri}
    if "backend" in machine:
        found["KERAS_BACKEND"] = machine["backend"]
    if "threads" in machine and machine["threads"] != cores():
        found["TF_NUM_INTRAOP_THREADS"] = str(machine["threads"])
    if machine.get("onednn", "default") != "default":
        found["TF_ENABLE_ONEDNN_OPTS"] = machine["onednn"]
    return found


def prepare(project: Project, registry: Registry, lineage: Lineage, version: Version, copy: Project) -> bool:
    """Bring `copy` to the state in which the version was made; returns whether its run had kept uncommitted changes."""
    with TemporaryFolder() as temporary:
        kept = registry.artifact(version, WORKSPACE, Path(temporary))
        if kept:
            shutil.copytree(kept, copy.root, dirs_exist_ok=True)
    if not copy.dvc_lock.exists():
        name = copy.dvc_lock.name
        raise InputError(f"version {lineage.version}: neither its commit nor its run has {name}, so its data is not known")
    write_settings(project, lineage, copy.params_file)
    write_external(project, registry, lineage, copy)
    share_cache(project, copy)
    scratch.link_packages(project, copy.root)
    checkout_data(lineage, copy)
    return kept is not None


def write_settings(project: Project, lineage: Lineage, file: Path) -> None:
    """In the version's params.yaml, replace `champion` by the number it had then, and a relative path by an absolute one.

    The other settings stay as they are, because this Genloop may not know all of them.
    """
    editor = YAML()
    settings = editor.load(file)
    if settings["train"].get("init") == CHAMPION:
        settings["train"]["init"] = lineage.parents[0] if lineage.parents else "scratch"
    weights = settings["reference"].get("weights")
    if weights and "://" not in weights:
        settings["reference"]["weights"] = str(project.root / weights)
    with file.open("w", encoding="utf-8") as stream:
        editor.dump(settings, stream)


def write_external(project: Project, registry: Registry, lineage: Lineage, copy: Project) -> None:
    """Restore the folder of an external model, as the version carries it."""
    editor = YAML()
    settings = editor.load(copy.params_file)
    other = external_folder.restore(project, registry, lineage.version, settings, copy)
    if other is not None:
        settings["model"]["external"] = other
        with copy.params_file.open("w", encoding="utf-8") as stream:
            editor.dump(settings, stream)


def share_cache(project: Project, copy: Project) -> None:
    """Let the copy use this project's DVC cache and remotes."""
    cache = dvc_cache.folder(project)
    folder = cache.parents[1] if cache.parts[-2:] == ("files", "md5") else cache
    own = project.root / ".dvc" / "config.local"
    before = own.read_text(encoding="utf-8") if own.exists() else ""
    files.write(copy.root / ".dvc" / "config.local", f"{before}\n[cache]\n    dir = {folder}\n")


def checkout_data(lineage: Lineage, copy: Project) -> None:
    pointer = copy.feedback_pointer
    wanted = [REUSED_STAGE, *([str(copy.relative(pointer))] if pointer.exists() else [])]
    if dvc.run_command(copy, "checkout", "--quiet", "--force", *wanted) is None:
        return
    no_remote = "there is no remote to ask"
    options = ["--quiet", "--force", *dvc.remote_options(copy)]
    fault = dvc.run_command(copy, "pull", *options, *wanted) if dvc_cache.remotes(copy) else no_remote
    if fault is not None:
        raise InputError(
            f"the data of version {lineage.version} is missing: DVC's cache here lacks it, and {fault}. Data "
            "that `genloop forget` or `dvc gc` has removed cannot be restored, so this version cannot be rebuilt without it"
        )
