"""genloop model: a model of the user's own, in a folder; `new` writes one that works, `check` holds one to the contract."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import console
from commands.app import Json, app, command, project_or_folder
from pipelines.core.errors import InputError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.external_model import ModelCheck

COLOURS = {"ok": "green", "failed": "red", "not to be had": "yellow"}

group = typer.Typer(
    no_args_is_help=True, help="A model of your own in the loop: a folder with a manifest; docs/your-own-model.md."
)
app.add_typer(group, name="model")

FolderArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The folder of the model.")]


@command(project_or_folder, group=group)
def new(project: Project, directory: FolderArgument) -> None:
    """Write a working model to begin with into a new folder."""
    from operations import external_model

    for path in external_model.create(directory):
        print(path)
    say(f"`genloop model check {directory}` checks it")
    say(f"`genloop run --set model.family=external --set model.external={directory}` trains it")


@command(project_or_folder, group=group)
def check(
    project: Project,
    directory: FolderArgument,
    preset: Annotated[str | None, typer.Option(help="Of the manifest; without it the first.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side; without it 16, or the next that the manifest takes.")] = None,
    channels: Annotated[int | None, typer.Option(help="1 grey, 3 colour; without it the manifest's first.")] = None,
    out: Annotated[Path | None, typer.Option(resolve_path=True, help="A picture (.png) of what it generates.")] = None,
    as_json: Json = False,
) -> None:
    """Train a model of your own for a moment on made-up images, and check all that Genloop asks of it."""
    if out is not None and (out.suffix != ".png" or not out.parent.is_dir()):
        raise InputError(f"--out {out}: expected a name that ends in .png, in a folder that exists")
    if channels not in (None, 1, 3):
        raise InputError(f"--channels {channels}: expected 1 or 3")

    from operations import external_model
    from pipelines.core import files

    options = external_model.CheckOptions(preset, size, channels)
    found = external_model.check(project, directory, options, lambda line: say(f"model check: {line}"))
    if as_json:
        print(json.dumps([asdict(result) for result in found.results], indent=2, ensure_ascii=False))
    else:
        show(found)
    if out is not None and found.picture is not None:
        files.write(out, found.picture)
        say(f"{out}: what it generates after a moment of training on made-up images")
    if found.failed:
        raise typer.Exit(InputError.exit_code)


def show(found: ModelCheck) -> None:
    """A line for each check, with how to mend what failed."""
    from rich.text import Text

    lines = [
        (
            result.name,
            Text(result.state, COLOURS[result.state]),
            f"{result.words}\n→ {result.advice}" if result.advice else result.words,
        )
        for result in found.results
    ]
    console.table(("check", "state", "what came, and what to do"), lines, wide=True)
