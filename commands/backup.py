"""genloop backup: all that makes the project what it is, as a folder from which `genloop restore` makes it again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import console
from commands.app import Json, command
from pipelines.core.numbers import describe_bytes
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.backup import BackupResult, PlannedPart


@command(writes=True)
def backup(
    project: Project,
    place: Annotated[Path, typer.Argument(metavar="FOLDER", resolve_path=True, help="Gets a folder for each backup.")],
    keep: Annotated[int | None, typer.Option(min=1, metavar="N", help="Then remove all but the N newest backups.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Share no file with the backup before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how large it would be.")] = False,
    as_json: Json = False,
) -> None:
    """Save events, history, registry, code and data into a new folder in FOLDER; what did not change costs no room."""
    from pipelines.registry.client import open_registry

    _, registry = open_registry(project)

    from operations import backup as backups

    if dry_run:
        parts = backups.plan(project, registry, place, full)
        print(json.dumps([asdict(part) for part in parts], indent=2)) if as_json else show_plan(parts)
        return
    made = backups.backup(project, registry, place, say, keep, full)
    print(json.dumps({**asdict(made), "folder": str(made.folder)}, indent=2)) if as_json else show(made)
    if made.missing:
        raise typer.Exit(1)


def show_plan(parts: list[PlannedPart]) -> None:
    rows = [(part.name, f"{part.files:,}", describe_bytes(part.size), describe_bytes(part.new)) for part in parts]
    console.table(("part", "files", "size", "new"), rows)
    total, new = (describe_bytes(sum(getattr(part, name) for part in parts)) for name in ("size", "new"))
    print(f"about {total}, of which {new} are new")


def show(made: BackupResult) -> None:
    print(f"{made.folder}: {made.files:,} files, {describe_bytes(made.size)}, of which {describe_bytes(made.copied)} are new")
    print(f"`genloop restore {made.folder} DIR` makes the project again")
    for name in made.removed:
        print(f"removed {name}")
    for sentence in made.left_out:
        say(f"not in it: {sentence}")
    if made.missing:
        say(
            f"not in it, because neither DVC's cache here nor its remote has all files: {', '.join(made.missing)}; "
            "`dvc commit` keeps what is in the workspace, `genloop run` makes the rest again; then back up once more"
        )
