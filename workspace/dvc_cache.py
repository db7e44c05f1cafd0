"""DVC's cache on this machine: the objects of outputs, and the deletion of those that no output needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipelines.core.project import Project
from workspace import dvc
from workspace.dvc import Out


def folder(project: Project) -> Path:
    """The folder of the objects, each as `ab/cdef…` by its hash."""
    with dvc.repository(project) as repo:
        return Path(repo.cache.local.path)


def feedback_objects(project: Project, stages: tuple[str, ...]) -> set[Path]:
    """Objects of data/feedback and of the outputs of these stages, as they were last recorded."""
    return objects(project, lambda out: Path(out.fs_path) == project.feedback or getattr(out.stage, "name", None) in stages)


def remove_unused(project: Project, before: set[Path]) -> int:
    """Delete those of these objects that no output needs any more; returns how many."""
    unused = [path for path in before - objects(project, lambda out: True) if path.is_file()]
    for path in unused:
        path.unlink()
    return len(unused)


def remotes(project: Project) -> dict[str, dict[str, str]]:
    """DVC's remotes: name -> options."""
    with dvc.repository(project) as repo:
        return dict(sorted(repo.config["remote"].items()))


def default_remote(project: Project) -> str | None:
    """The name of the remote that `dvc push` and `dvc pull` use, if there is one."""
    with dvc.repository(project) as repo:
        name: str | None = repo.config["core"].get("remote")
        return name


def objects(project: Project, wanted: Callable[[Out], bool]) -> set[Path]:
    with dvc.repository(project) as repo:
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info and wanted(out)]
        return {Path(out.cache.oid_to_path(digest)) for out in outs for digest in object_hashes(out)}


def object_hashes(out: Out) -> list[str]:
    """The hashes of an output's objects. A folder is an object too: the list of its files."""
    return [out.hash_info.value, *dvc.digests(out).values()]
