"""genloop restore: makes a project again from a backup, in an empty place."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.app import Json, command, project_or_folder
from pipelines.core.errors import InputError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.restore import RestoreResult


@command(project_or_folder)
def restore(
    project: Project,
    backup: Annotated[Path, typer.Argument(metavar="BACKUP", resolve_path=True, help="The folder of one backup.")],
    place: Annotated[Path | None, typer.Argument(metavar="DIR", resolve_path=True, help="A new or empty folder.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Only read the backup, and say whether it is whole.")] = False,
    as_json: Json = False,
) -> None:
    """Make a project again from a backup: all of it, checked, or nothing."""
    if check == (place is not None):
        raise InputError("expected DIR, a new or empty folder, or --check to read the backup alone; came both or none of them")

    from operations import restore as restores

    if place is None:
        manifest = restores.check_backup(backup)
        print(f"{backup}: whole, {len(manifest.files):,} files of {manifest.at}")
        return
    done = restores.restore(backup, place, project.environment, say)
    print(json.dumps({**asdict(done), "root": str(done.root)}, indent=2)) if as_json else show(done)


def show(done: RestoreResult) -> None:
    champion = "no champion" if done.champion is None else f"champion is version {done.champion}"
    print(f"{done.root}: the project as it was at {done.at}")
    print(f"  {done.versions:,} versions, {champion}; {done.moves:,} moves in its history; {done.events:,} events")
    print(f"  {done.outputs:,} outputs of DVC's; all as the backup says")
    print(f"  events are in {done.database}")
    for name in done.missing:
        say(f"not in the backup: {name}; `genloop run` makes it again")
    for sentence in done.left_out:
        say(f"not in the backup: {sentence}")
    print("next: `make env` there, for its programs, then `genloop status`")
