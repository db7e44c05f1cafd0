"""genloop studio: a page and an API that show pictures by the champion, and learn from every click."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.app import command
from pipelines.core.project import Project


@command()
def studio(
    project: Project,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond this machine GENLOOP_SECRET_KEY is needed.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8400,
) -> None:
    """Show pictures in a web page, and learn from every click."""
    from studio.server import serve

    serve(project, host, port)
