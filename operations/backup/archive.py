"""A backup on disk: a folder of files that are all in its manifest, which files equal to those of the backup before share."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipelines.core import files
from pipelines.core.errors import InputError

MANIFEST, MANIFEST_SUM = "manifest.json", "manifest.sha256"
CACHE = "cache"  # in a backup, the folder with the objects of DVC's
FORMAT = 1  # of the manifest
NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ(-\d+)?")
CHUNK = 2**20
SHOWN = 3  # damaged files that a message names

Advance = Callable[[int], None]


@dataclass(frozen=True)
class BackupFile:
    """modified: of the original, in nanoseconds. link: where a symbolic link leads, which is all there is of it."""

    size: int
    sha256: str
    modified: int
    mode: int
    link: str | None = None


@dataclass(frozen=True)
class BackupManifest:
    """What a backup holds.

    at: UTC. root: the project's folder. facts: what a restored project must say of itself. git: the repository, as
    `workspace.bundle` describes it. deleted: files of the last commit that the project does not have. missing: outputs, and
    other objects of DVC's, that could not be found. left_out: sentences. files: by path in the backup.
    """

    at: str
    genloop: str
    root: str
    facts: dict[str, Any]
    git: dict[str, Any] | None
    deleted: list[str]
    missing: list[str]
    left_out: list[str]
    files: dict[str, BackupFile] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


class BackupWriter:
    """Puts files into a new backup. previous: the folder and the manifest of a backup whose equal files are linked.

    copied: bytes that this backup does not share. damaged: what did not have the hash that its name says, and is left out.
    """

    def __init__(self, folder: Path, previous: tuple[Path, BackupManifest] | None) -> None:
        self.folder, self.previous = folder, previous
        self.files: dict[str, BackupFile] = {}
        self.copied = 0
        self.damaged: list[str] = []

    def place(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def add(self, source: Path, name: str, advance: Advance, md5: str | None = None) -> bool:
        """Add a copy of a file; returns whether there is one. md5: that it must have."""
        if name in self.files:
            return True
        try:
            status = source.lstat()
            if source.is_symlink():
                self.files[name] = BackupFile(0, "", 0, 0, os.readlink(source))
                return True
            known = self._known(name)
            if known and (known.size, known.modified) == (status.st_size, status.st_mtime_ns) and self._link(name, known):
                advance(status.st_size)
                self._note(name, known.sha256, status)
                return True
            sums = copy(source, self.place(name), advance, ("sha256", "md5") if md5 else ("sha256",))
        except FileNotFoundError:  # gone since it was listed
            return False
        if md5 is not None and sums["md5"] != md5:
            self.place(name).unlink()
            self.damaged.append(name)
            return self.take_over(name)
        self.copied += status.st_size
        self._note(name, sums["sha256"], status)
        return True

    def take_over(self, name: str) -> bool:
        """Share an object of DVC's cache that is lost or damaged here with the previous backup, which may have it whole."""
        known = self._known(name)
        if known is None or not self._link(name, known):
            return False
        self.files[name] = known
        return True

    def add_made(self, name: str) -> None:
        """Add a file that was written at its place in the backup."""
        path = self.folder / name
        path.chmod(0o600)
        digest, status, known = files.sha256(path), path.stat(), self._known(name)
        if known is None or (known.sha256, known.size) != (digest, status.st_size) or not self._link(name, known):
            self.copied += status.st_size
        self._note(name, digest, status)

    def has_object(self, path: Path) -> bool:
        """Whether the backup has this object of DVC's cache."""
        return f"{CACHE}/{path}" in self.files

    def close(self, manifest: BackupManifest) -> None:
        """Write the manifest, which makes the folder a backup."""
        text = json.dumps(asdict(manifest), indent=1)
        files.write(self.folder / MANIFEST, text)
        files.write(self.folder / MANIFEST_SUM, f"{hashlib.sha256(text.encode()).hexdigest()}\n")
        os.sync()

    def _known(self, name: str) -> BackupFile | None:
        found = self.previous[1].files.get(name) if self.previous else None
        return None if found is None or found.link is not None else found

    def _link(self, name: str, known: BackupFile) -> bool:
        """Share a file with the previous backup, if its disk can do that."""
        assert self.previous is not None
        before, linked = self.previous[0] / name, self.place(f"{name}.linked")
        try:
            if before.stat().st_size != known.size:  # damaged since
                return False
            os.link(before, linked)
        except OSError:  # missing, or no hard links here, or too many of the file
            return False
        linked.replace(self.folder / name)
        return True

    def _note(self, name: str, digest: str, status: os.stat_result) -> None:
        self.files[name] = BackupFile(status.st_size, digest, status.st_mtime_ns, status.st_mode & 0o777)


def copy(source: Path, target: Path, advance: Advance, kinds: Sequence[str] = ("sha256",)) -> dict[str, str]:
    """Copy the bytes into a new file, which its owner alone can read; their hashes of these kinds."""
    sums = {kind: hashlib.new(kind, usedforsecurity=False) for kind in kinds}
    with source.open("rb") as reader, target.open("xb") as writer:
        target.chmod(0o600)
        while chunk := reader.read(CHUNK):
            writer.write(chunk)
            for one in sums.values():
                one.update(chunk)
            advance(len(chunk))
    return {name: one.hexdigest() for name, one in sums.items()}


def names(folder: Path) -> list[str]:
    """The backups in a folder, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if NAME.fullmatch(path.name) and (path / MANIFEST).is_file())


def newest(folder: Path) -> tuple[Path, BackupManifest] | None:
    """The newest backup in a folder with its manifest; one whose manifest is damaged is passed over."""
    for name in reversed(names(folder)):
        try:
            return folder / name, read(folder / name)
        except InputError:
            continue
    return None


def read(backup: Path) -> BackupManifest:
    """Raises InputError where there is no backup, or its manifest is damaged, or a newer Genloop's."""
    if not (backup / MANIFEST).is_file():
        raise InputError(f"{backup}: {describe_no_backup(backup)}")
    again = "this backup cannot be used; take another one"
    try:
        text = (backup / MANIFEST).read_bytes()
        expected = (backup / MANIFEST_SUM).read_text(encoding="ascii").strip()
        if hashlib.sha256(text).hexdigest() != expected:
            raise InputError(f"{backup / MANIFEST}: is damaged, its sha256 is not the one in {MANIFEST_SUM}; {again}")
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise InputError(
                f"{backup / MANIFEST}: its format is {found['format']}, and this Genloop knows {FORMAT}; update it"
            )
        listed = {name: BackupFile(**about) for name, about in found.pop("files").items()}
        manifest = BackupManifest(files=listed, **found)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{backup / MANIFEST}: is damaged ({error}); {again}") from None
    if wrong := [name for name in (*manifest.files, *manifest.deleted) if is_unsafe(name)]:
        raise InputError(f"{backup / MANIFEST}: names a file outside of the project, {wrong[0]}; {again}")
    return manifest


def describe_no_backup(folder: Path) -> str:
    if not folder.is_dir():
        return "expected the folder of a backup, there is no such folder"
    if found := names(folder):
        return f"holds {len(found)} backups; name one of them, the newest is {folder / found[-1]}"
    return f"is no backup: it has no {MANIFEST}; `genloop backup FOLDER` makes one in FOLDER"


def is_unsafe(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or not path.parts


def verify(backup: Path, manifest: BackupManifest, advance: Advance) -> None:
    """Raises InputError with their names where files are missing, cut or changed; all are read."""
    faults = [fault for name, file in manifest.files.items() if (fault := fault_of(backup / name, name, file, advance))]
    if faults:
        more = f", and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
        raise InputError(
            f"{backup}: the backup is damaged: {'; '.join(faults[:SHOWN])}{more}; nothing was restored; take another one, and "
            "make the next with `genloop backup --full`, so that it shares no file with this one"
        )


def fault_of(path: Path, name: str, file: BackupFile, advance: Advance) -> str | None:
    if file.link is not None:
        return None
    try:
        size = path.stat().st_size
        if size != file.size:
            return f"{name} has {size:,} bytes, and {file.size:,} were written"
        digest = hashlib.sha256()
        with path.open("rb") as reader:
            while chunk := reader.read(CHUNK):
                digest.update(chunk)
                advance(len(chunk))
    except FileNotFoundError:
        return f"{name} is missing"
    except OSError as error:
        return f"{name} cannot be read ({error.strerror})"
    return None if digest.hexdigest() == file.sha256 else f"{name} has other bytes than were written"


def remove_leftovers(folder: Path) -> None:
    """Remove what backups that were killed have left."""
    for path in folder.glob(".*.partial"):
        if NAME.fullmatch(path.name[1:].removesuffix(".partial")):
            shutil.rmtree(path)


def prune(folder: Path, keep: int) -> list[str]:
    """Remove all but the newest backups; their names. Half of a backup is never visible."""
    removed = names(folder)[:-keep]
    for name in removed:
        hidden = folder / f".{name}.partial"
        (folder / name).rename(hidden)
        shutil.rmtree(hidden)
    return removed
