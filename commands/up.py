"""genloop up: the whole loop on one machine, in one terminal: studio, schedules, Prefect's and MLflow's pages."""

from __future__ import annotations

import json
import signal
import threading
from dataclasses import asdict
from typing import Annotated

import typer

from commands.app import Json, command
from pipelines.core.progress import say
from pipelines.core.project import Project

WIDTH = 9  # of names before lines
COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red")


@command(writes=True)
def up(
    project: Project,
    demo: Annotated[bool, typer.Option("--demo", help="With simulated raters, in a project of its own in demo/.")] = False,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the studio; Prefect and MLflow take others.")] = 8400,
    as_json: Json = False,
) -> None:
    """Run everything until Ctrl-C: the studio, schedules, and the pages of Prefect and MLflow.

    Where there is no model yet, the first one is made, and the studio shows it.
    """
    from operations import demo as demonstration
    from operations.up import Addresses
    from operations.up import up as run
    from pipelines.settings.load import load_params

    if demo:
        project = demonstration.prepare(project)
        say(f"up: simulated raters vote, in a project of its own: {project.root}")

    def ready(addresses: Addresses) -> None:
        if as_json:
            print(json.dumps(asdict(addresses)), flush=True)
            return
        for name, address in asdict(addresses).items():
            typer.echo(f"  {name:<{WIDTH}} {address}")
        say("Ctrl-C ends everything")

    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a script starts in the background
    try:
        run(project, load_params(project.params_file), port, demo, ServiceLines().write, ready)
    except KeyboardInterrupt:
        say("up: everything has ended")


class ServiceLines:
    """Writes lines of services to the terminal, each with the name of its service."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.colours: dict[str, str] = {}

    def write(self, name: str, line: str) -> None:
        with self.lock:
            colour = self.colours.setdefault(name, COLOURS[len(self.colours) % len(COLOURS)])
            typer.echo(f"{typer.style(f'{name:<{WIDTH}}', fg=colour)} {line}", err=True)
