"""DVC's cache on this machine: the objects of outputs, and the deletion of those that no output needs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core.project import Project
from workspace import dvc, records
from workspace.dvc import Out

if TYPE_CHECKING:
    from dvc.repo import Repo

OBJECT = re.compile(r"[0-9a-f]{30}(\.dir)?")  # the name of an object's file; its folder has the first two digits


@dataclass(frozen=True)
class RecordedOutputs:
    """What DVC has recorded of the workspace. Paths are relative: of `hashes` to the root, of `objects` to the cache.

    hashes: output -> its hash. objects: output -> its objects. uncached: output that DVC keeps no copy of -> its files.
    """

    hashes: dict[str, str]
    objects: dict[str, set[Path]]
    uncached: dict[str, list[Path]]

    @property
    def uncached_files(self) -> list[Path]:
        return [file for listed in self.uncached.values() for file in listed]


def top(project: Project) -> Path:
    """The folder of the whole cache, as `dvc cache dir` says it."""
    with dvc.open_repository(project) as repo:
        return Path(repo.cache.local_cache_dir)


@contextmanager
def recorded(project: Project) -> Iterator[RecordedOutputs]:
    """What DVC has recorded now; no other DVC process records anything while the context lasts."""
    with dvc.repository(project) as repo:
        root = Path(repo.cache.local_cache_dir)
        kept = [out for out in repo.index.outs if out.use_cache and out.hash_info and out.protocol == "local"]
        single = [out for out in repo.index.outs if not out.use_cache and out.protocol == "local"]
        yield RecordedOutputs(
            {dvc.relative_path(out): str(out.hash_info.value) for out in kept},
            {dvc.relative_path(out): places(out, root) for out in kept},
            {dvc.relative_path(out): files_of(project, Path(out.fs_path)) for out in single},
        )


def files_of(project: Project, path: Path) -> list[Path]:
    found = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [project.relative(file) for file in found if file.is_file()]


def objects_of_revisions(project: Project, revisions: Collection[str], log: Callable[[str], None]) -> set[Path]:
    """The objects of all outputs in these commits, relative to the cache. log: gets a line for each that DVC cannot read."""
    from dvc.exceptions import DvcException
    from dvc.scm import SCMError

    found: set[Path] = set()
    if not revisions:
        return found
    with dvc.open_repository(project) as repo:
        root = Path(repo.cache.local_cache_dir)
        for name in repo.brancher(revs=list(revisions), workspace=False, sha_only=True):
            try:
                outs = [out for out in repo.index.outs if out.use_cache and out.hash_info and out.protocol == "local"]
            except (DvcException, SCMError) as error:
                log(f"warning: DVC cannot read the commit {name[:12]} ({error}); what it alone needs is left out")
                continue
            found.update(place for out in outs for place in places(out, root))
    return found


def objects_of_hashes(project: Project, hashes: Collection[str]) -> dict[str, set[Path]]:
    """Hash of an output -> its objects, relative to the cache; of a folder also its files, where its list is there."""
    with dvc.open_repository(project) as repo:
        root, place = Path(repo.cache.local_cache_dir), repo.cache.local.oid_to_path
        found = {}
        for digest in hashes:
            path = Path(place(digest))
            listed = json.loads(path.read_bytes()) if path.suffix == ".dir" and path.is_file() else []
            found[digest] = {path.relative_to(root), *(Path(place(entry["md5"])).relative_to(root) for entry in listed)}
        return found


def fetch(project: Project, objects: Collection[Path]) -> None:
    """Bring objects from the default remote into the cache, as far as it has them. Raises what the remote's driver raises."""
    from dvc_data.hashfile.hash_info import HashInfo

    with dvc.open_repository(project) as repo:
        repo.cloud.pull([HashInfo("md5", path.parent.name + path.name) for path in objects])


def fetch_outputs(project: Project, hashes: Collection[str]) -> None:
    """As `fetch`, the objects of outputs that the cache lacks: first the lists of folders, then what these name."""
    cache = top(project)
    for _ in range(2):
        needed = set[Path]().union(*objects_of_hashes(project, hashes).values())
        if absent := {path for path in needed if not (cache / path).is_file()}:
            fetch(project, absent)


def make_own(project: Project) -> None:
    """Have DVC keep the project's cache in the project, without links to it by path, whatever was set for another machine."""
    from dvc.config_schema import RelPath

    with dvc.open_repository(project) as repo:
        own = str(Path(repo.dvc_dir) / "cache")
        types = repo.config["cache"].get("type") or []
        if repo.cache.local_cache_dir == own and "symlink" not in types:
            return
        with repo.config.edit("local") as settings:
            settings["cache"]["dir"] = RelPath(own)  # written as it is seen from the file, so that the project can be renamed
            if "symlink" in types:  # it would lead to the folder in which the project is being made
                settings["cache"]["type"] = [kind for kind in types if kind != "symlink"] or ["reflink", "copy"]


def changed_outputs(project: Project, outputs: Collection[str]) -> list[str]:
    """Those of these outputs whose files in the workspace are not as DVC has recorded them."""
    with dvc.repository(project) as repo:
        found = {dvc.relative_path(out): out for out in repo.index.outs}
        return [name for name in outputs if name not in found or found[name].workspace_status()]


def places(out: Out, root: Path) -> set[Path]:
    return {Path(out.cache.oid_to_path(digest)).relative_to(root) for digest in object_hashes(out)}


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
