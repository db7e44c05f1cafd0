"""The command line of `genloop`: options that commands share, and the decorator that makes a function a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from pipelines.core.processes import flush_stdout
from pipelines.core.progress import say
from pipelines.core.project import Project
from workspace import copies, permissions

F = TypeVar("F", bound=Callable[..., None])

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Keeps a generative image model getting better: images in, a registered model out, again and again.",
)

Folder = Annotated[
    Path | None,
    typer.Option("--project", metavar="DIR", help="A folder of the project to work on; without it the working directory."),
]
Overlays = Annotated[
    list[Path], typer.Option("--params", metavar="OVERLAY", resolve_path=True, help="YAML laid over params.yaml.")
]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="As in train.steps=500.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.callback()
def options(context: typer.Context, folder: Folder = None) -> None:
    """Keep --project for the command. Each command takes the option too, and its own wins where both are given."""
    context.obj = folder


def project_or_folder(folder: Path | None) -> Project:
    """The project around `folder` or the working directory; outside of any project, the working directory itself."""
    found = Project.find(folder)
    working = Path.cwd().resolve()
    return found if folder or working.is_relative_to(found.root) else replace(found, root=working)


def command(
    find: Callable[[Path | None], Project] = Project.find, writes: bool = False, group: typer.Typer = app
) -> Callable[[F], F]:
    """Register a function as a command with the option --project. It gets the project first; its errors become messages.

    The function itself is unchanged. It imports slow modules in its body, because each command imports the files of all.
    find: makes the project from the folder that the user named, or from None. writes: it needs a project that can be written.
    group: of which it is a command.
    """

    def add(function: F) -> F:
        def call(context: typer.Context, folder: Folder = None, **arguments: Any) -> None:
            with exit_on_error():
                project = find(folder or context.obj)
            if not (folder or context.obj or project.surrounds()):
                say(
                    f"genloop: the working directory is in no project, so it is {project.root}; --project DIR names another one"
                )
            for warning in copies.warnings(project):
                say(f"genloop: {warning}")
            with exit_on_error(project.shorten):
                if writes:
                    permissions.check_writable(project)
                function(project, **arguments)

        _, *own = inspect.signature(function, eval_str=True).parameters.values()
        shared = inspect.signature(call, eval_str=True).parameters
        call.__signature__ = inspect.Signature([shared["context"], *own, shared["folder"]])  # type: ignore[attr-defined]
        group.command(function.__name__.replace("_", "-"), help=inspect.getdoc(function))(call)
        return function

    return add


@contextmanager
def exit_on_error(shorten: Callable[[str], str] = str) -> Iterator[None]:
    """Print an error as one line on stderr and exit with its code; only a bug of Genloop shows a traceback."""
    try:
        try:
            yield
        finally:
            flush_stdout()  # now, while an error can become a message
    except typer.Exit:
        raise
    except BaseException as error:
        from pipelines.stage import report

        raise typer.Exit(report("genloop", error, shorten)) from None
