"""Backup: all that makes a project what it is, as one folder from which `restore` makes it again in an empty place.

Nothing has to stop for it. Folds, registrations and moves of the champion wait while the databases are copied; votes do not,
nor does a run: what it has not recorded yet is not in the backup, and the restored project makes it again.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from operations.backup import archive, cache_objects, contents
from operations.backup.archive import BackupManifest, BackupWriter
from operations.backup.cache_objects import NeededObjects
from operations.backup.contents import VersionNeeds
from pipelines.core import files, sqlite_copy, timestamps
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.feedback.store import database, transfer
from pipelines.promotion.ledger import Ledger
from pipelines.registry import places
from pipelines.registry.client import Registry
from workspace import bundle, dvc_cache, locks
from workspace.bundle import RepositoryState
from workspace.dvc_cache import RecordedOutputs

MB = 10**6
STUDIES = "tune.db"  # in data/: of `genloop tune`
MIN_FREE = 2**26  # bytes that must stay free


@dataclass(frozen=True)
class BackupResult:
    """size, copied: bytes, and those of them that are not shared with the backup before. missing: outputs that it lacks.

    left_out: sentences. removed: older backups, by --keep.
    """

    folder: Path
    files: int
    size: int
    copied: int
    facts: dict[str, Any]
    missing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class PlannedPart:
    """A part of the backup that would be made. new: bytes that the backup before does not have."""

    name: str
    files: int
    size: int
    new: int


@dataclass(frozen=True)
class CopyJob:
    """name: in the backup. md5: that a file of DVC's cache must have."""

    source: Path
    name: str
    md5: str | None = None


def backup(
    project: Project,
    registry: Registry,
    folder: Path,
    log: Callable[[str], None],
    keep: int | None = None,
    full: bool = False,
) -> BackupResult:
    """Make a backup of the project in `folder`, which keeps one for each time.

    Args:
        keep: how many of the newest backups stay; None for all.
        full: share no file with the backup before.

    Raises:
        InputError: `folder` lies in the project, or the project is in the middle of a merge.
        GenloopError: another backup is going on there, or a database, git or DVC failed. There is no new backup then.
    """
    check_folder(project, folder)
    folder.mkdir(parents=True, exist_ok=True)
    with locks.hold(folder / ".lock", f"another backup is being written to {folder}; wait for it to end"):
        archive.remove_leftovers(folder)
        target = folder / new_name(folder)
        with files.replacement(target) as partial:
            partial.chmod(0o700)
            writer = BackupWriter(partial, None if full else archive.newest(folder))
            manifest = write(project, registry, writer, log)
        removed = archive.prune(folder, keep) if keep else []
    return BackupResult(
        folder=target,
        files=len(manifest.files),
        size=manifest.size,
        copied=writer.copied,
        facts=manifest.facts,
        missing=manifest.missing,
        left_out=manifest.left_out,
        removed=removed,
    )


def check_folder(project: Project, folder: Path) -> None:
    if folder.resolve().is_relative_to(project.root):
        raise InputError(
            f"{folder}: lies in the project, and would be lost with it; name a folder outside of {project.root}, best one on "
            "another disk"
        )
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; expected a folder, which may not exist yet, for this backup and those to come")
    if not files.writable(folder):
        raise InputError(f"{folder}: cannot be written by this user; expected a folder for this backup and those to come")


def new_name(folder: Path) -> str:
    """The time, and a number where there was a backup in this second."""
    now = f"{timestamps.now():%Y-%m-%dT%H-%M-%SZ}"
    taken = {path.name for path in folder.iterdir()}
    return next(name for name in (now, *(f"{now}-{number}" for number in range(2, 1000))) if name not in taken)


def write(project: Project, registry: Registry, writer: BackupWriter, log: Callable[[str], None]) -> BackupManifest:
    """Fill the backup; its manifest comes last."""
    at, left_out = timestamps.iso(timestamps.now(), "seconds"), list[str]()
    open_first(registry, log)
    store = registry.store if registry.store and registry.store.exists() else None
    with standstill(project, registry):
        save_databases(project, store, writer)
        with dvc_cache.recorded(project) as recorded:
            state = bundle.read(project)
            changed, new, deleted = contents.changed_files(project, state)
            for path in (
                *changed,
                *contents.before_feedback(project),
                *recorded.uncached_files,
                *contents.unrecorded_feedback(project),
            ):
                writer.add(project.root / path, f"{contents.FILES}/{path}", lambda size: None)
    with saved_registry(registry, store, writer) as saved:
        needs, registry_facts = ask_registry(saved, store, recorded, log)
    if state:
        state = bundle.with_commits(project, state, needs.commits)
        bundle.write(project, state, writer.place(contents.BUNDLE))
        writer.add_made(contents.BUNDLE)
        if (shallow := bundle.shallow_file(project)).is_file():
            writer.add(shallow, contents.SHALLOW, lambda size: None)
    objects = cache_objects.with_fetched(project, recorded, needs, state.revisions if state else [], log)
    copy_jobs([*file_jobs(project, store, new), *object_jobs(objects)], writer)
    missing = [name for name, paths in sorted(objects.outputs.items()) if not all(map(writer.has_object, paths))]
    left_out += list(describe_left_out(project, registry, store, state, objects, writer))
    manifest = BackupManifest(
        at=at,
        genloop=own_version(),
        root=str(project.root),
        facts={
            "registry": registry_facts,
            "database": saved_events(writer),
            "dataset": {name: digest for name, digest in sorted(recorded.hashes.items()) if name not in missing},
        },
        git=asdict(state) if state else None,
        deleted=deleted,
        missing=missing,
        left_out=left_out,
        files=writer.files,
    )
    writer.close(manifest)
    return manifest


def plan(project: Project, registry: Registry, folder: Path, full: bool = False) -> list[PlannedPart]:
    """What a backup would hold now, and how much of it would be new. Nothing is written, and nothing fetched."""
    check_folder(project, folder)
    known = {} if full or (newest := archive.newest(folder)) is None else newest[1].files
    store = registry.store if registry.store and registry.store.exists() else None
    events = transfer.file_of(project.database_url)
    databases = [file for file in (events, store, project.data / STUDIES) if file and file.exists()]
    size = sum(map(sqlite_copy.size, databases))
    parts = [PlannedPart("databases", len(databases), size, size)]
    with dvc_cache.recorded(project) as recorded:
        state = bundle.read(project)
        changed, new, _ = contents.changed_files(project, state)
        still = [*changed, *recorded.uncached_files, *contents.unrecorded_feedback(project)]
    needs, _ = ask_registry(registry, store, recorded, lambda line: None)
    if state:
        state = bundle.with_commits(project, state, needs.commits)
        parts.append(PlannedPart("git", 1, bundle.size(project), bundle.size(project)))
    objects = cache_objects.find(project, recorded, needs, state.revisions if state else [], lambda line: None)
    jobs = file_jobs(project, None, [*still, *new]), file_jobs(project, store, []), object_jobs(objects)
    artifacts = [job for job in jobs[1] if job.name.startswith(contents.ARTIFACTS)]
    for name, listed in (("files of the project", jobs[0]), ("MLflow's artifacts", artifacts), ("DVC's data", jobs[2])):
        found = {job.name: job.source.lstat() for job in listed if contents.is_file(job.source)}
        fresh = [one.st_size for name, one in found.items() if not is_known(known.get(name), one)]
        parts.append(PlannedPart(name, len(found), sum(one.st_size for one in found.values()), sum(fresh)))
    return parts


def is_known(known: archive.BackupFile | None, status: os.stat_result) -> bool:
    return known is not None and (known.size, known.modified) == (status.st_size, status.st_mtime_ns)


def open_first(registry: Registry, log: Callable[[str], None]) -> None:
    """Load MLflow and have it name its artifacts where they are, before anybody waits for us."""
    try:
        registry.aliases()
    except GenloopError as error:
        if registry.local:
            raise
        log(f"warning: {error}")


@contextmanager
def standstill(project: Project, registry: Registry) -> Iterator[None]:
    """Nobody folds, registers or moves the champion while the context lasts: the databases fit together. Votes go on."""
    with ExitStack() as stack:
        stack.enter_context(locks.fold_lock(project))
        if database.reachable(project.database_url):
            ledger = stack.enter_context(Ledger.open(project.database_url, registry.name))
            stack.enter_context(ledger.exclusive())
        stack.enter_context(registry.lock())
        yield


def save_databases(project: Project, registry_store: Path | None, writer: BackupWriter) -> None:
    events = transfer.file_of(project.database_url)
    stores = [store for store in (registry_store, project.data / STUDIES) if store and store.exists()]
    total = sum(sqlite_copy.size(file) for file in (events, *stores) if file)
    with progress("databases", total if events else None) as advance:
        if database.reachable(project.database_url):
            transfer.save(project.database_url, writer.place(contents.EVENTS), advance)
        for store, name in ((registry_store, contents.REGISTRY), (project.data / STUDIES, contents.STUDIES)):
            if store in stores:
                save_database(store, writer.place(name), advance)
    for name in (contents.EVENTS, contents.REGISTRY, contents.STUDIES):
        if (writer.folder / name).exists():
            writer.add_made(name)


def save_database(store: Path | None, file: Path, advance: archive.Advance) -> None:
    assert store is not None
    try:
        sqlite_copy.copy(store, file, advance)
    except sqlite3.Error as error:
        raise GenloopError(f"{store}: {database.explain(str(error))}") from None


@contextmanager
def progress(name: str, total: int | None) -> Iterator[archive.Advance]:
    """A bar in MB that is given bytes."""
    with Progress(name, None if total is None else max(1, total // MB), "MB") as bar:
        done = 0

        def advance(size: int) -> None:
            nonlocal done
            before, done = done, done + size
            bar.advance(done // MB - before // MB)

        yield advance


@contextmanager
def saved_registry(registry: Registry, store: Path | None, writer: BackupWriter) -> Iterator[Registry]:
    """The registry as it was saved; one on a server, or none yet, as it is."""
    if store is None:
        yield registry
        return
    with TemporaryFolder() as folder:
        archive.copy(writer.folder / contents.REGISTRY, Path(folder) / "saved.db", lambda size: None)
        project = registry.project.with_variables({"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/saved.db"})
        yield Registry(project, registry.name, registry.experiment_name)


def ask_registry(
    registry: Registry, store: Path | None, recorded: RecordedOutputs, log: Callable[[str], None]
) -> tuple[VersionNeeds, dict[str, Any] | None]:
    """What the versions need, and what must come back; nothing of a server that does not answer."""
    artifacts = store.parent / contents.ARTIFACTS if store else None
    try:
        return contents.version_needs(registry, recorded.uncached), contents.registry_facts(registry, artifacts)
    except GenloopError as error:
        if registry.local:
            raise
        log(f"warning: {error}; data that only older versions need may be missing in this backup")
        return VersionNeeds(set(), set()), None


def file_jobs(project: Project, store: Path | None, new: list[Path]) -> list[CopyJob]:
    jobs = [CopyJob(project.root / path, f"{contents.FILES}/{path}") for path in (*new, *contents.own_files(project))]
    for path in contents.artifacts(store) if store else ():
        jobs.append(CopyJob(path, f"{contents.ARTIFACTS}/{path.relative_to(store.parent / contents.ARTIFACTS)}"))  # type: ignore[union-attr]
    return jobs


def object_jobs(objects: NeededObjects) -> list[CopyJob]:
    return [CopyJob(objects.cache / path, f"{archive.CACHE}/{path}", cache_objects.md5(path)) for path in sorted(objects.all)]


def copy_jobs(jobs: list[CopyJob], writer: BackupWriter) -> None:
    found = {job: job.source.lstat() for job in jobs if contents.is_file(job.source)}
    for job in jobs:
        if job.md5 is not None and job not in found:
            writer.take_over(job.name)
    known = writer.previous[1].files if writer.previous else {}
    new = sum(status.st_size for job, status in found.items() if not is_known(known.get(job.name), status))
    if (free := shutil.disk_usage(writer.folder).free) < new + MIN_FREE:
        place, advice = writer.folder.parent, "make room, or keep fewer backups (--keep)"
        raise GenloopError(f"{place}: {free // MB:,} MB are free, and the backup needs {new // MB:,} MB more; {advice}")
    with progress("files", sum(status.st_size for status in found.values())) as advance:
        for job in found:
            writer.add(job.source, job.name, advance, job.md5)


def saved_events(writer: BackupWriter) -> dict[str, Any] | None:
    """What the saved database of events holds; None where there was none."""
    if contents.EVENTS not in writer.files:
        return None
    with TemporaryFolder() as folder:  # to open it is to write beside it
        copy = Path(folder) / "feedback.db"
        archive.copy(writer.folder / contents.EVENTS, copy, lambda size: None)
        return contents.event_facts(f"sqlite:///{copy}")


def describe_left_out(
    project: Project,
    registry: Registry,
    store: Path | None,
    state: RepositoryState | None,
    objects: NeededObjects,
    writer: BackupWriter,
) -> Iterator[str]:
    """What is not in the backup although somebody may look for it there."""
    if not registry.local:
        yield f"the registry is at {registry.place}: back up its database and its artifacts there"
    if store and (places_elsewhere := places.outside(store)):
        count, first = len(places_elsewhere), places_elsewhere[0]
        yield f"the files of {count} models and versions lie elsewhere, the first in {first}: back them up there"
    if schemas := transfer.other_schemas(project.database_url):
        yield f"what other tools keep in PostgreSQL ({', '.join(schemas)}): back it up with the server's own tools"
    if state is None:
        yield "git: the project has no commit"
    for name in contents.nested_repositories(project, state):
        yield f"{name}: is a git repository of its own"
    if absent := [path for path in objects.older if not writer.has_object(path)]:
        yield f"{len(absent):,} files of data that only older versions or commits need are neither here nor in the remote"
    if writer.damaged:
        yield f"{len(writer.damaged):,} files of DVC's cache are damaged, the first is {writer.damaged[0]}"


def own_version() -> str:
    try:
        return version("genloop")
    except PackageNotFoundError:
        return "unknown"
