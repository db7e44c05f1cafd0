"""The objects of DVC's cache that a backup needs: of the workspace, of branches and tags, and of registered versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from operations.backup.contents import VersionNeeds
from pipelines.core.project import Project
from workspace import dvc_cache
from workspace.dvc_cache import RecordedOutputs


@dataclass(frozen=True)
class NeededObjects:
    """Paths are relative to the cache. outputs: of the workspace. older: what other commits and versions need besides."""

    cache: Path
    outputs: dict[str, set[Path]]
    older: set[Path]

    @property
    def all(self) -> set[Path]:
        return self.older.union(*self.outputs.values())

    @property
    def absent(self) -> set[Path]:
        return {path for path in self.all if not (self.cache / path).is_file()}


def with_fetched(
    project: Project, recorded: RecordedOutputs, needs: VersionNeeds, revisions: Sequence[str], log: Callable[[str], None]
) -> NeededObjects:
    """The objects, after those that this machine lacks came from the remote, as far as it has them."""
    objects = find(project, recorded, needs, revisions, log)
    if fetch_missing(project, objects, log):  # perhaps lists of folders, whose files are known only now
        objects = find(project, recorded, needs, revisions, lambda line: None)
        fetch_missing(project, objects, log)
    return objects


def find(
    project: Project, recorded: RecordedOutputs, needs: VersionNeeds, revisions: Sequence[str], log: Callable[[str], None]
) -> NeededObjects:
    own, of_versions = set(recorded.hashes.values()), needs.hashes
    by_hash = dvc_cache.objects_of_hashes(project, own | of_versions)
    outputs = {name: recorded.objects[name] | by_hash[digest] for name, digest in recorded.hashes.items()}
    older = dvc_cache.objects_of_revisions(project, revisions, log).union(*(by_hash[digest] for digest in of_versions))
    return NeededObjects(dvc_cache.top(project), outputs, older.difference(*outputs.values()))


def fetch_missing(project: Project, objects: NeededObjects, log: Callable[[str], None]) -> bool:
    """Bring objects that are not on this machine from DVC's default remote; returns whether some came."""
    before = objects.absent
    if not before or dvc_cache.default_remote(project) is None:
        return False
    log(f"DVC's cache here lacks {len(before):,} files of the project's data; fetching them from the remote")
    try:
        dvc_cache.fetch(project, before)
    except Exception as error:  # of a remote's driver, of any kind
        log(f"warning: the remote does not give them: {type(error).__name__}: {str(error).strip()[:300]}")
    return objects.absent < before


def md5(path: Path) -> str | None:
    """The hash that an object must have by its name; None for objects of an older DVC, whose hash is not of their bytes."""
    return path.parent.name + path.name.removesuffix(".dir") if path.parts[0] == "files" else None
