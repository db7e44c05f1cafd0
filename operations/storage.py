"""Storage: how much of the disk DVC's cache, MLflow's store, checkpoints and the database of events take, and how much is free.

A cache of a million files takes seconds to count. So counts are kept in logs/measurements/storage.json, for whoever asks next,
and are made anew when they are old, the less often the longer it takes. `python -m operations.storage` counts in a process of
its own, for a server that must not stand still meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import DEVNULL
from typing import Literal

from pipelines.core import files, timestamps
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry import places
from pipelines.settings.schema import Params
from pipelines.stage import main
from workspace import dvc_cache, processes
from workspace.permissions import local_file

StoreName = Literal["dvc", "mlflow", "checkpoints", "database"]
NAMES: dict[StoreName, str] = {"dvc": "DVC cache", "mlflow": "MLflow", "checkpoints": "checkpoints", "database": "events"}
FRESH = timedelta(minutes=10)
REST = 50  # times as long as a count takes, it is not repeated
LOW_SHARE, LOW_BYTES = 0.1, 5 * 10**9  # of free disk, below which a person should know


class TooSlowError(Exception):
    """Raised where counting takes longer than its caller waits."""


@dataclass(frozen=True)
class StoreSizes:
    """bytes: of each store on this machine; one on a server that does not say is left out. seconds: that counting took."""

    at: datetime
    bytes: dict[StoreName, int]
    seconds: float = 0.0

    @property
    def fresh(self) -> bool:
        return timestamps.now() - self.at < max(FRESH, timedelta(seconds=REST * self.seconds))


@dataclass(frozen=True)
class DiskSpace:
    """Bytes of the disk that the project is on."""

    free: int
    total: int

    @property
    def low(self) -> bool:
        return self.free < max(LOW_SHARE * self.total, LOW_BYTES)


def disk(project: Project) -> DiskSpace:
    usage = shutil.disk_usage(project.root)
    return DiskSpace(usage.free, usage.total)


def sizes_file(project: Project) -> Path:
    return project.logs / "measurements" / "storage.json"


def read(project: Project) -> StoreSizes | None:
    """What was counted last; None where nothing was, or the file is of no use."""
    try:
        found = json.loads(sizes_file(project).read_text(encoding="utf-8"))
        sizes = {name: int(found["bytes"][name]) for name in NAMES if name in found["bytes"]}
        return StoreSizes(datetime.fromisoformat(found["at"]), sizes, float(found["seconds"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def sizes(project: Project, patience: float) -> StoreSizes | None:
    """What was counted lately, else a new count.

    patience: seconds after which what was counted before is good enough; None where nothing was.
    """
    before = read(project)
    if before is not None and before.fresh:
        return before
    try:
        return count(project, patience)
    except TooSlowError:
        return before


def count(project: Project, patience: float | None = None) -> StoreSizes:
    """Count, and keep it for whoever asks next. Raises TooSlowError after `patience` seconds."""
    began = time.monotonic()
    places_by_store = stores(project)
    deadline = None if patience is None else time.monotonic() + patience
    found = {name: sum(tree_bytes(path, deadline) for path in paths) for name, paths in places_by_store.items()}
    if "database" not in found:
        with contextlib.suppress(GenloopError), EventStore.open(project.database_url) as store:
            found["database"] = store.size()
    counted = StoreSizes(timestamps.now(), found, round(time.monotonic() - began, 3))
    place = sizes_file(project)
    if files.writable(place.parent):  # a project may be mounted to be read
        files.write(place, json.dumps({**asdict(counted), "at": timestamps.iso(counted.at, "seconds")}, indent=2) + "\n")
    return counted


def count_apart(project: Project) -> StoreSizes | None:
    """What was counted lately, else a new count, by a process of its own; None where it could not be counted."""
    before = read(project)
    if before is None or not before.fresh:
        process = processes.start(project, [sys.executable, "-m", "operations.storage"], stdout=DEVNULL, stderr=DEVNULL)
        try:
            process.wait()
        finally:
            processes.stop(process)
        before = read(project)
    return before


def stores(project: Project) -> dict[StoreName, list[Path]]:
    """The files and folders of each store that is on this machine."""
    found: dict[StoreName, list[Path]] = {"checkpoints": [project.checkpoints]}
    with contextlib.suppress(GenloopError):  # no DVC repository, or another process holds it for long
        found["dvc"] = [dvc_cache.folder(project)]
    if tracking := local_file(project.tracking_uri):
        found["mlflow"] = [*database_files(tracking), tracking.parent / places.ARTIFACTS]
    if events := local_file(project.database_url):
        found["database"] = database_files(events)
    return found


def database_files(file: Path) -> list[Path]:
    """The file of an SQLite database, and those that SQLite keeps beside it."""
    return [file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))]


def tree_bytes(path: Path, deadline: float | None = None) -> int:
    """Bytes of a file, or of all files in a folder; 0 where there is none. What vanishes meanwhile does not count."""
    total, waiting = 0, [path]
    while waiting:
        if deadline is not None and time.monotonic() > deadline:
            raise TooSlowError
        place = waiting.pop()
        try:
            if not place.is_dir():
                total += place.stat().st_size if place.is_file() else 0
                continue
            with os.scandir(place) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def run(project: Project, params: Params) -> None:
    count(project)


if __name__ == "__main__":
    main(run)
