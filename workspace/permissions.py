"""Whether a project can be written: it may be mounted read-only, or belong to somebody else. It can be read all the same."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project

SHOWN = 4  # places that a message names
READING = "commands that read (status, history, why, score, generate --out in another folder) work as it is"


def check_writable(project: Project) -> None:
    """Raises InputError where a command that writes could not end its work."""
    if words := fault(project):
        raise InputError(f"{words}; {READING}")


def fault(project: Project) -> str | None:
    """What of the project cannot be written, why, and what to do about it; None where all can."""
    closed = [place for place in places(project) if not files.writable(place)]
    if not closed:
        return None
    if project.root in closed:
        names = f"the project in {project.root}"
    else:
        names = ", ".join(str(project.relative(place)) for place in closed[:SHOWN])
        names += f" and {len(closed) - SHOWN} more" if len(closed) > SHOWN else ""
    if any(os.statvfs(place).f_flag & os.ST_RDONLY for place in closed):
        return f"{names} cannot be written, because the file system is read-only: mount it writable, or work in a copy"
    user, owner = os.geteuid(), closed[0].stat().st_uid
    if user == owner:
        return f"{names} cannot be written, by its mode: `chmod -R u+w` changes it, or work in a copy"
    return f"{names} cannot be written by the user id {user}, it is {owner}'s: run as the owner, `chown -R`, or work in a copy"


def places(project: Project) -> Iterator[Path]:
    """What a run or a fold writes, as far as it is there: what is not is made in a folder that is."""
    dvc = project.root / ".dvc"
    outputs = (
        project.raw, project.facts, project.clean, project.reference, project.feedback, project.uploads, project.curated,
        project.approval, project.model, project.reports, project.quarantine,
    )  # fmt: skip
    found = [project.root, dvc, dvc / "tmp", dvc / "tmp" / "lock", dvc / "cache", project.dvc_lock, project.data, *outputs]
    stores = [project.logs, project.checkpoints, *map(local_file, (project.database_url, project.tracking_uri))]
    return (place for place in (*found, *stores) if place is not None and place.exists())


def local_file(url: str) -> Path | None:
    """The file of an SQLite database; None for a server."""
    kind, _, file = url.partition(":///")
    return Path(file.partition("?")[0]) if kind == "sqlite" and file else None
