"""Garbage: what neither a registered version, nor the history, nor anything that goes on needs, and how it is freed.

Each piece is found and freed by itself: a kill at any moment leaves the rest for the next time, and nothing that is needed half
deleted. What is freed is what was shown: what has come since is left, and so is what has come into use.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from operations.rebuild import worktree
from pipelines.core import temporary_folder, timestamps
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.registry import runs
from pipelines.registry.client import Registry
from pipelines.registry.runs import StoredEntry
from pipelines.registry.versions import KEY
from workspace import dvc, dvc_cache, git, locks, records

Kind = Literal["cache", "models", "runs", "checkpoints", "temporary"]
KINDS: tuple[Kind, ...] = ("cache", "models", "runs", "checkpoints", "temporary")
HOURS = 24.0


@dataclass(frozen=True)
class GarbageRules:
    """past: whether data that only commits before the last one of a branch or tag name is garbage too. hours: checkpoints,
    half-written files and unfinished runs that were written later may be in use."""

    past: bool = False
    hours: float = HOURS


@dataclass(frozen=True)
class GarbagePiece:
    """name: a path, or MLflow's id. size: bytes that the disk, or the store of artifacts, gets back; none for a file that has
    another name elsewhere."""

    kind: Kind
    name: str
    size: int
    item: Path | StoredEntry


@dataclass(frozen=True)
class Garbage:
    """notes: sentences about what is left, and why."""

    pieces: list[GarbagePiece] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)

    def counts(self) -> dict[Kind, tuple[int, int]]:
        """Pieces and bytes by kind."""
        found = {kind: [piece.size for piece in self.pieces if piece.kind == kind] for kind in KINDS}
        return {kind: (len(sizes), sum(sizes)) for kind, sizes in found.items()}

    def as_json(self) -> dict[str, Any]:
        kinds = {kind: {"count": count, "bytes": size} for kind, (count, size) in self.counts().items()}
        return {"kinds": kinds, "bytes": self.size, "notes": self.notes}


def find(project: Project, registry: Registry, rules: GarbageRules) -> Garbage:
    """What there is. Nothing is changed.

    Raises:
        InputError: the registry is not the project's, or a merge is not finished.
        GenloopError: a run is going on, or a store does not answer, so that nobody can say what is needed.
    """
    with hold(project, registry):
        return survey(project, registry, rules, needed_objects(project, registry, rules))


def free(project: Project, registry: Registry, rules: GarbageRules, wanted: Garbage, log: Callable[[str], None]) -> Garbage:
    """Free what was found, as far as it is garbage still; returns what was freed. Raises as `find` does."""
    names = {(piece.kind, piece.name) for piece in wanted.pieces}
    freed = set[GarbagePiece]()
    with hold(project, registry):
        needed = needed_objects(project, registry, rules)
        found = survey(project, registry, rules, needed)
        pieces = [piece for piece in found.pieces if (piece.kind, piece.name) in names]
        try:
            for piece in remove(project, registry, needed, pieces):
                freed.add(piece)
        except (GenloopError, OSError) as error:
            log(f"gc: {len(freed):,} of {len(pieces):,} pieces are freed; the next gc goes on with the rest")
            raise error if isinstance(error, GenloopError) else GenloopError(str(error)) from None
    return Garbage([piece for piece in pieces if piece in freed], found.notes)


@contextlib.contextmanager
def hold(project: Project, registry: Registry) -> Iterator[None]:
    """Keep runs and folds out, and make sure that the registry can say what is needed."""
    with locks.run_lock(project), locks.fold_lock(project):
        check_registry(registry)
        yield


def check_registry(registry: Registry) -> None:
    """Raises InputError where this is not the registry that the last version went to: it would not know what is needed."""
    receipt = registry.receipt()
    if receipt is None:
        return
    known = [version.tags.get(KEY) for version in runs.versions(registry)]
    before = str(receipt.get("registry", ""))
    same = registry.place in (before, f"sqlite:///{registry.project.root / before.removeprefix('sqlite:///')}")
    if receipt.get("key") not in known and not (known and same):  # a version that somebody has deleted is not needed
        raise InputError(
            f"version {receipt['version']} of {receipt['model']} went to the registry {before}, and {registry.place} has not "
            "got it, so nobody knows what versions need; set MLFLOW_TRACKING_URI as for runs"
        )


def needed_objects(project: Project, registry: Registry, rules: GarbageRules) -> set[str] | None:
    """The hashes of objects that versions, branches, tags and, unless `rules.past`, the commits before them name; None where
    that cannot be known."""
    if not dvc_cache.is_own(project) or (git.is_shallow(project) and not rules.past):
        return None
    commits, named = runs.version_data(registry)
    return named | records.in_commits(project, commits, past=not rules.past)


def survey(project: Project, registry: Registry, rules: GarbageRules, needed: set[str] | None) -> Garbage:
    found = [
        *cache_pieces(project, needed),
        *registry_pieces(registry, rules),
        *checkpoint_pieces(project, rules),
        *temporary_pieces(project, rules),
    ]
    return Garbage(found, list(notes(project, registry, needed, found)))


def notes(project: Project, registry: Registry, needed: set[str] | None, found: list[GarbagePiece]) -> Iterator[str]:
    if not dvc_cache.is_own(project):
        folder = dvc_cache.folder(project)
        yield f"DVC's cache, {folder}, is outside of the project; others may need what is in it, so it is left as it is"
    elif needed is None:
        yield "DVC's cache is left as it is, because this clone lacks older commits: `git fetch --unshallow` brings them"
    if any(isinstance(piece.item, StoredEntry) for piece in found) and not runs.deletes_rows(registry):
        yield f"{registry.place} keeps the rows of what is deleted in its bin; `mlflow gc` on its own machine deletes them"


def cache_pieces(project: Project, needed: set[str] | None) -> Iterator[GarbagePiece]:
    for path in [] if needed is None else dvc_cache.unreferenced(project, needed):
        yield path_piece(project, "cache", path)


def registry_pieces(registry: Registry, rules: GarbageRules) -> Iterator[GarbagePiece]:
    for stored in runs.unneeded(registry, timestamps.now() - timedelta(hours=rules.hours)):
        yield GarbagePiece("models" if stored.kind == "model" else "runs", stored.id, stored.size, stored)


def checkpoint_pieces(project: Project, rules: GarbageRules) -> Iterator[GarbagePiece]:
    """Checkpoints of a stage that is up to date: where it is not, a run may resume from them, and `train` keeps few of them."""
    folders = [path for path in sorted(project.checkpoints.glob("*/")) if is_old(path, rules)]
    noise = [path for path in folders if path.name.startswith("noise-")]
    of_training = [path for path in folders if path not in noise]
    if noise and dvc.noise_state(project) == "fresh":
        yield from (path_piece(project, "checkpoints", path) for path in noise)
    if of_training and dvc.status(project).get("train") == "fresh":
        yield from (path_piece(project, "checkpoints", path) for path in of_training)


def temporary_pieces(project: Project, rules: GarbageRules) -> Iterator[GarbagePiece]:
    """What a killed process has left: half-written files and folders, worktrees of rebuilds, and temporary folders."""
    half_written = [path for top in (project.data, project.logs) for path in top.rglob(".*.partial")]
    objects = dvc_cache.temporary_files(project) if dvc_cache.is_own(project) else []
    worktrees = [path for path in worktree.folder(project).glob("version-*/") if not worktree.is_used(path)]
    found = {path for path in (*half_written, *objects, *worktrees) if is_old(path, rules)}
    for path in sorted(path for path in found if found.isdisjoint(path.parents)):
        yield path_piece(project, "temporary", path)
    for path in temporary_folder.leftovers():
        yield path_piece(project, "temporary", path)


def path_piece(project: Project, kind: Kind, path: Path) -> GarbagePiece:
    sizes = (about.st_size for about in stats(path) if about.st_nlink == 1)
    return GarbagePiece(kind, str(project.relative(path)), sum(sizes), path)


def is_old(path: Path, rules: GarbageRules) -> bool:
    newest = max((about.st_mtime for about in stats(path)), default=0.0)
    return time.time() - newest > rules.hours * 3600


def stats(path: Path) -> Iterator[os.stat_result]:
    """Of a file, or of all files in a folder."""
    for one in (path, *path.rglob("*")):
        with contextlib.suppress(FileNotFoundError):  # somebody else has removed it
            if one.is_symlink() or not one.is_dir():
                yield one.lstat()


def remove(
    project: Project, registry: Registry, needed: set[str] | None, pieces: Sequence[GarbagePiece]
) -> Iterator[GarbagePiece]:
    """Remove these, and yield each when it is gone."""
    objects = {piece.item: piece for piece in pieces if piece.kind == "cache" and isinstance(piece.item, Path)}
    for piece in pieces:
        if isinstance(piece.item, StoredEntry):
            runs.delete(registry, piece.item)
            yield piece
    for path in dvc_cache.remove_unreferenced(project, needed, objects) if objects and needed is not None else ():
        yield objects[path]
    for piece in pieces:
        if isinstance(piece.item, Path) and piece.kind != "cache" and remove_path(project, piece.item):
            yield piece


def remove_path(project: Project, path: Path) -> bool:
    """Remove a file or a folder, unless a process has come to use it; returns whether it did."""
    if path.name.startswith(temporary_folder.PREFIX):
        with temporary_folder.unused(path) as free:
            if free:
                shutil.rmtree(path)
            return free
    if path.parent == worktree.folder(project):
        return worktree.remove_unused(project, path)
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    return True
