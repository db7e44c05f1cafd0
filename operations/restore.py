"""Restore: makes a project again from a backup, in an empty place: all of it, or nothing.

Every file of the backup is read before anything is written, and read again while it is copied. The project is made under a
temporary name, has to say of itself what the manifest says, and gets its name then.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from operations.backup import STUDIES, archive, contents, progress
from operations.backup.archive import Advance, BackupManifest
from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback.store import database, transfer
from pipelines.feedback.store.transfer import TableDigest
from pipelines.registry import places
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from workspace import bundle, dvc, dvc_cache, locks
from workspace.bundle import RepositoryState

DATABASE, TRACKING = database.VARIABLE, "MLFLOW_TRACKING_URI"
FEEDBACK = f"{contents.FILES}/data/feedback/"  # how names of sealed files begin that DVC had not kept
MIN_FREE = 2**28  # bytes that must stay free besides what is restored


@dataclass(frozen=True)
class RestoreResult:
    """root: of the project. events: their number. champion: its version. database: where the events are.

    missing: outputs that the backup lacks. left_out: sentences of the backup.
    """

    root: Path
    at: str
    events: int
    moves: int
    versions: int
    champion: int | None
    outputs: int
    database: str
    missing: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Destination:
    """Where a restored project is made, and where its parts end.

    folder: gets the name `target` in the end. root: of the project in it. project: with variables that lead to what is made.
    registry, events: the files of the databases. server: the URL of the database that gets the events, if that is no file.
    moves: (made at, final place) of what ends outside of the project.
    """

    folder: Path
    root: Path
    project: Project
    registry: Path
    events: Path
    server: str | None
    moves: list[tuple[Path, Path]]


class BackupReader:
    """Copies files out of a backup, and raises GenloopError where one is no longer what it was when it was verified."""

    def __init__(self, backup: Path, manifest: BackupManifest, advance: Advance) -> None:
        self.backup, self.manifest, self.advance = backup, manifest, advance

    def copy(self, name: str, target: Path) -> None:
        about = self.manifest.files[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        if about.link is not None:
            target.symlink_to(about.link)
            return
        if archive.copy(self.backup / name, target, self.advance)["sha256"] != about.sha256:
            raise GenloopError(f"{self.backup / name}: was changed while it was being restored; nothing was restored")
        target.chmod(about.mode)
        os.utime(target, ns=(about.modified, about.modified))

    def copy_folder(self, folder: str, target: Path, without: str = "\0") -> None:
        """Copy all files of a folder. without: how names begin that are left out."""
        top = target.resolve()
        for name in self.names(folder):
            path = target / name.removeprefix(f"{folder}/")
            if not path.parent.resolve().is_relative_to(top):
                raise GenloopError(
                    f"{name}: would be written outside of the project, through a link in it; nothing was restored"
                )
            if not name.startswith(without):
                self.copy(name, path)

    def names(self, folder: str) -> list[str]:
        return [name for name in self.manifest.files if name.startswith(f"{folder}/")]


def restore(backup: Path, target: Path, environment: Mapping[str, str], log: Callable[[str], None]) -> RestoreResult:
    """Make the project of `backup` in `target`, a new or empty folder.

    environment: variables; GENLOOP_DATABASE_URL and MLFLOW_TRACKING_URI say where events and a registry in a file go.

    Raises:
        InputError: there is no whole backup, or `target`, or a database that the variables name, is not empty.
        GenloopError: the disk is full, or git or DVC failed, or the project is not what the backup says. Nothing is left then.
    """
    manifest = archive.read(backup)
    check_target(target)
    lock = target.with_name(f".{target.name}.restore.lock")
    with locks.hold(lock, f"another restore to {target} is going on"):
        try:
            check_stores(manifest, target, environment)
            verify(backup, manifest)
            check_room(target, manifest)
            return make(backup, manifest, target, environment, log)
        finally:
            lock.unlink(missing_ok=True)


def check_backup(backup: Path) -> BackupManifest:
    """The manifest of a whole backup; raises InputError with the names of files that are damaged."""
    manifest = archive.read(backup)
    verify(backup, manifest)
    return manifest


def verify(backup: Path, manifest: BackupManifest) -> None:
    with progress("check the backup", manifest.size) as advance:
        archive.verify(backup, manifest, advance)


def make(
    backup: Path, manifest: BackupManifest, target: Path, environment: Mapping[str, str], log: Callable[[str], None]
) -> RestoreResult:
    state = state_of(manifest)
    prefix = state.prefix if state else ""
    with destination(target, prefix, environment) as made:
        with progress("restore", manifest.size) as advance:
            reader = BackupReader(backup, manifest, advance)
            restore_code(reader, made, state)
            reader.copy_folder(archive.CACHE, made.root / ".dvc" / "cache")
            restore_databases(reader, made)
        reader.advance = lambda size: None  # what is copied once more is not counted
        restore_data(reader, made)
        check(reader, made, log)
        if made.server and contents.EVENTS in manifest.files:
            transfer.load(made.events, made.server)
        finish(made, target)
    project = Project(target / prefix, environment)
    if contents.REGISTRY in manifest.files:
        with contextlib.suppress(GenloopError):  # all is there: whoever opens it first does the same
            claim(registry_file(project))
    return summary(manifest, project)


def check_target(target: Path) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: expected a new or empty folder, came a file or a link")
    if target.is_dir() and any(target.iterdir()):
        raise InputError(f"{target}: is not empty, and a restore writes over nothing; name a new folder")
    if os.path.ismount(target):
        raise InputError(f"{target}: a disk is mounted there, so no finished folder can take its place; name a folder in it")
    if not files.writable(target.parent):
        raise InputError(f"{target}: cannot be made by this user")


def check_stores(manifest: BackupManifest, target: Path, environment: Mapping[str, str]) -> None:
    """Raises InputError where something exists already that would be written outside of the target."""
    project = Project(target, environment)
    if contents.EVENTS in manifest.files:
        transfer.check_empty(project.database_url, tables_of(manifest))
    if contents.REGISTRY in manifest.files:
        store = registry_file(project)
        for path in (store, store.parent / places.ARTIFACTS):
            if path.exists():
                raise InputError(f"{path}: exists already, and a restore writes over nothing; {TRACKING} leads there")


def registry_file(project: Project) -> Path:
    """The file of the registry. Raises InputError where the variable names a server."""
    kind, _, path = project.tracking_uri.partition(":///")
    if kind != "sqlite" or not path.startswith("/"):
        raise InputError(
            f"{TRACKING} names no file, and the registry of this backup is one: unset the variable, for mlflow.db in the "
            "restored project, or set it to sqlite:///PATH"
        )
    return Path(path.partition("?")[0])


def check_room(target: Path, manifest: BackupManifest) -> None:
    """DVC's data is needed twice, in the cache and in the workspace, where the disk cannot share it."""
    place = target.parent
    while not place.exists():
        place = place.parent
    data = sum(file.size for name, file in manifest.files.items() if name.startswith(f"{archive.CACHE}/"))
    needed, free = manifest.size + data + MIN_FREE, shutil.disk_usage(place).free
    if free < needed:
        raise GenloopError(f"{place}: {free // 2**20:,} MB are free, and the restored project may need {needed // 2**20:,} MB")


def state_of(manifest: BackupManifest) -> RepositoryState | None:
    return None if manifest.git is None else RepositoryState(**manifest.git)


def tables_of(manifest: BackupManifest) -> dict[str, TableDigest]:
    return {name: TableDigest(**about) for name, about in manifest.facts["database"]["tables"].items()}


@contextmanager
def destination(target: Path, prefix: str, environment: Mapping[str, str]) -> Iterator[Destination]:
    """Temporary folders beside the final places; what is still in them when the context ends is removed."""
    final = Project(target / prefix, environment)
    folder = target.with_name(f".{target.name}.restore.partial")
    root, folders, moves = folder / prefix, [folder], list[tuple[Path, Path]]()

    def place(path: Path) -> Path:
        """Where a file that ends at `path` is made."""
        if path.is_relative_to(final.root):
            return root / path.relative_to(final.root)
        beside = path.with_name(f".{path.name}.restore.partial")
        folders.append(beside)
        moves.append((beside / path.name, path))
        return beside / path.name

    variables = dict(environment)
    registry = root / "mlflow.db"
    if final.tracking_uri.startswith("sqlite:////"):
        store = registry_file(final)
        registry = place(store)
        if not store.is_relative_to(final.root):
            moves.append((registry.parent / places.ARTIFACTS, store.parent / places.ARTIFACTS))
        variables[TRACKING] = f"sqlite:///{registry}"
    events = transfer.file_of(final.database_url)
    if events is None:
        folders.append(target.with_name(f".{target.name}.events.partial"))
    made_events = folders[-1] / "feedback.db" if events is None else place(events)
    variables[DATABASE] = f"sqlite:///{made_events}"
    try:
        for one in folders:
            shutil.rmtree(one, ignore_errors=True)  # what a killed restore has left
            one.mkdir(parents=True)
        server = final.database_url if events is None else None
        yield Destination(folder, root, Project(root, variables), registry, made_events, server, moves)
    finally:
        for one in folders:
            shutil.rmtree(one, ignore_errors=True)


def restore_code(reader: BackupReader, made: Destination, state: RepositoryState | None) -> None:
    """The repository at its commit, then what the project had changed since, and files that git does not have."""
    if state:
        shallow = reader.backup / contents.SHALLOW if contents.SHALLOW in reader.manifest.files else None
        bundle.unpack(Project(made.folder, made.project.environment), reader.backup / contents.BUNDLE, state, shallow)
    for name in reader.manifest.deleted:
        (made.root / name).unlink(missing_ok=True)
    reader.copy_folder(contents.FILES, made.root, without=FEEDBACK)


def restore_databases(reader: BackupReader, made: Destination) -> None:
    for name, path in (
        (contents.EVENTS, made.events),
        (contents.REGISTRY, made.registry),
        (contents.STUDIES, made.root / "data" / STUDIES),
    ):
        if name in reader.manifest.files:
            reader.copy(name, path)
    reader.copy_folder(contents.ARTIFACTS, made.registry.parent / places.ARTIFACTS)
    if contents.REGISTRY in reader.manifest.files:
        claim(made.registry)


def claim(store: Path) -> None:
    """Have the registry name its artifacts where they are now, which is not where they were saved."""
    try:
        places.claim(store)
    except sqlite3.Error as error:
        raise GenloopError(f"{store}: {database.explain(str(error))}") from None


def restore_data(reader: BackupReader, made: Destination) -> None:
    """The outputs of stages and of `dvc add`, by DVC itself; then sealed feedback that DVC had not kept yet."""
    dvc_cache.make_own(made.project)
    if (fault := dvc.run_command(made.project, "checkout", "--quiet", "--force", "--allow-missing")) is not None:
        raise GenloopError(f"dvc checkout: {fault}; nothing was restored")
    if names := [name for name in reader.manifest.files if name.startswith(FEEDBACK)]:
        shutil.rmtree(made.project.feedback, ignore_errors=True)
        for name in names:
            reader.copy(name, made.root / name.removeprefix(f"{contents.FILES}/"))


def check(reader: BackupReader, made: Destination, log: Callable[[str], None]) -> None:
    """Raises GenloopError where the project that was made does not say of itself what the manifest says."""
    facts = reader.manifest.facts
    faults = [*dataset_faults(reader, made, facts["dataset"]), *registry_faults(reader, made, facts["registry"], log)]
    if contents.EVENTS in reader.manifest.files:
        faults += event_faults(made, facts["database"])
    if faults:
        raise GenloopError(f"the restored project is not what the backup says: {'; '.join(faults)}; nothing was restored")


def dataset_faults(reader: BackupReader, made: Destination, expected: dict[str, str]) -> list[str]:
    with dvc_cache.recorded(made.project) as recorded:
        others = [name for name, digest in expected.items() if recorded.hashes.get(name) != digest]
    own = {"data/feedback"} if any(name.startswith(FEEDBACK) for name in reader.manifest.files) else set()
    changed = dvc_cache.changed_outputs(made.project, sorted(set(expected) - own))
    return [f"{name} has other data" for name in sorted({*others, *changed})]


def registry_faults(
    reader: BackupReader, made: Destination, expected: dict[str, Any] | None, log: Callable[[str], None]
) -> list[str]:
    if expected is None:
        return []
    registry, is_file = Registry(made.project, expected["model"], ""), contents.REGISTRY in reader.manifest.files
    try:
        found = contents.registry_facts(registry, made.registry.parent / places.ARTIFACTS if is_file else None)
    except GenloopError as error:
        if is_file:
            raise
        log(f"warning: {error}; whether the registry there fits this backup is not known")
        return []
    if is_file:  # as it was saved, because to ask it was to give its artifacts a place that they will not keep
        for path in made.registry.parent.glob(f"{made.registry.name}*"):
            path.unlink()
        reader.copy(contents.REGISTRY, made.registry)
        return [] if found == expected else ["the registry has other versions, files or aliases"]
    if found != expected:
        log(f"warning: the registry at {registry.place} has changed since this backup: `genloop history` says how")
    return []


def event_faults(made: Destination, expected: dict[str, Any]) -> list[str]:
    """By the digests of rows; by their numbers where the tables are of another Genloop than the one that made the backup."""
    found = contents.event_facts(made.project.database_url)
    if found == expected:
        return []
    same = found["revision"] == expected["revision"]
    wrong = [
        name
        for name, about in expected["tables"].items()
        if (found["tables"].get(name) != about if same else found["tables"].get(name, {}).get("rows") != about["rows"])
    ]
    return [f"the table {name} has other rows" for name in wrong]


def finish(made: Destination, target: Path) -> None:
    """Give everything its name, the project last: without it nothing else counts."""
    os.sync()
    done: list[tuple[Path, Path]] = []
    try:
        for before, after in (*made.moves, (made.folder, target)):
            if before.exists():
                after.parent.mkdir(parents=True, exist_ok=True)
                before.rename(after)
                done.append((before, after))
        files.sync(target.parent)
    except OSError as error:
        for before, after in reversed(done):
            after.rename(before)
        raise GenloopError(f"{error.filename2 or error.filename}: {error.strerror}; nothing was restored") from None


def summary(manifest: BackupManifest, project: Project) -> RestoreResult:
    facts = manifest.facts
    tables = facts["database"]["tables"] if facts["database"] else {}
    registry = facts["registry"] or {"versions": {}, "aliases": {}}
    return RestoreResult(
        root=project.root,
        at=manifest.at,
        events=tables.get("events", {}).get("rows", 0),
        moves=tables.get("promotion_moves", {}).get("rows", 0),
        versions=len(registry["versions"]),
        champion=registry["aliases"].get(CHAMPION),
        outputs=len(facts["dataset"]),
        database=database.display_name(database.address(project.database_url)),
        missing=manifest.missing,
        left_out=manifest.left_out,
    )
