"""DVC's cache on this machine: the objects of outputs, and the deletion of those that no output needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core.project import Project
from workspace import dvc, records
from workspace.dvc import Out

if TYPE_CHECKING:
    from dvc.repo import Repo

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")  # the name of an object's file; its folder has the first two digits


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


def is_own(project: Project) -> bool:
    """Whether the cache is this project's alone, as far as its place tells: one outside of it may serve other projects too."""
    return folder(project).resolve().is_relative_to(project.root.resolve())


def unreferenced(project: Project, named: Collection[str]) -> list[Path]:
    """The objects that neither the workspace nor `named` need, lists of files before the files. named: hashes."""
    with dvc.repository(project) as repo:
        return find_unreferenced(project, repo, named)


def remove_unreferenced(project: Project, named: Collection[str], wanted: Iterable[Path]) -> Iterator[Path]:
    """Remove those of the objects `wanted` that are unreferenced now, and yield each; DVC can add none meanwhile."""
    allowed = set(wanted)
    with dvc.repository(project) as repo:
        for path in find_unreferenced(project, repo, named):
            if path in allowed:
                path.unlink(missing_ok=True)
                yield path


def temporary_files(project: Project) -> list[Path]:
    """Files among the objects that are none: DVC was killed while it wrote them, or is writing them."""
    return sorted(path for path in folder(project).glob("[0-9a-f][0-9a-f]/*") if not OBJECT.fullmatch(path.name))


def find_unreferenced(project: Project, repo: Repo, named: Collection[str]) -> list[Path]:
    cache = Path(repo.cache.local.path)
    outs = (out for out in repo.index.outs if out.use_cache and out.hash_info)
    needed = {*named, *records.in_workspace(project), *(str(out.hash_info.value) for out in outs)}
    for digest in [digest for digest in needed if digest.endswith(".dir")]:
        # Where the list of files is missing here, nothing can be told of them: whoever pulls the list pulls them as well.
        path = cache / digest[:2] / digest[2:]
        needed |= records.hashes(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else set()
    stored = [path for path in cache.glob("[0-9a-f][0-9a-f]/*") if OBJECT.fullmatch(path.name)]
    unused = [path for path in stored if path.parent.name + path.name not in needed]
    # A list whose files are gone would look like a folder that is there, so the lists go first.
    return sorted(unused, key=lambda path: (path.suffix != ".dir", path))


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
