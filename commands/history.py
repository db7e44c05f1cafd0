"""genloop history: which version was champion when, and why; or the lineage of one version."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from commands import console
from commands.app import Json, command
from pipelines.core import timestamps
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.promotion.ledger import Move
    from pipelines.registry.client import Registry


@command()
def history(
    project: Project,
    version: Annotated[
        int | None, typer.Argument(metavar="VERSION", help="Say what this version was made of, and from what.")
    ] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Which version was champion, as in 2026-01-31T12:00.")] = None,
    as_json: Json = False,
) -> None:
    """Say which version was champion when, and why; or where one version comes from."""
    if version is not None and at is not None:
        raise InputError("history: expected VERSION or --at, came both; ask twice")
    time = parse_time(at) if at is not None else None

    from pipelines.registry.client import open_registry

    _, registry = open_registry(project)
    if version is not None:
        from pipelines.registry import lineage

        origin = lineage.read(registry, version)
        print(json.dumps(origin.as_json(), indent=2) if as_json else "\n".join(origin.lines()))
        return
    settle(project, registry)
    if time:
        show_champion(project, registry, time, as_json)
        return

    from pipelines.promotion.history import moves

    found = moves(project, registry)
    print(json.dumps([move.as_json() for move in found], indent=2)) if as_json else show(found)


def settle(project: Project, registry: Registry) -> None:
    """Enter moves that the history lacks. Where the registry does not answer, warn, and show what the database has."""
    from pipelines.promotion import moves

    try:
        moves.settle(project, registry)
    except GenloopError as error:
        say(f"genloop: {error}; the history below is what the database has")


def show_champion(project: Project, registry: Registry, time: datetime, as_json: bool) -> None:
    from pipelines.promotion.history import champion_at

    version = champion_at(project, registry, time)
    if as_json:
        at = timestamps.iso(time, "microseconds")
        print(json.dumps({"at": at, "model": registry.name, "champion": version}, indent=2))
    else:
        print(f"version {version}" if version is not None else "none is known to have been champion then")


def parse_time(at: str) -> datetime:
    """Raises InputError where `at` is no time, or is in the future."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise InputError(f"--at {at}: expected a time as in 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00+02:00") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if found > timestamps.now():
        raise InputError(f"--at {at}: is in the future; a time without a zone is UTC")
    return found


def show(found: list[Move]) -> None:
    if not found:
        print("no version has been champion yet")
        return
    rows = [
        (timestamps.seconds(move.at), str(move.from_ or "-"), str(move.to or "-"), move.kind, move.by, move.reason)
        for move in found
    ]
    console.table(("at (UTC)", "from", "to", "verdict", "by", "why"), rows)
