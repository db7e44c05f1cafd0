"""genloop rollback: makes the previous champion champion again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from commands.app import Json, command
from pipelines.core.errors import InputError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.registry.client import Registry


@command(writes=True)
def rollback(
    project: Project,
    to: Annotated[int | None, typer.Option(metavar="N", help="A version; without it the champion before.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Reason, for the history.")] = None,
    as_json: Json = False,
) -> None:
    """Take the last promotion back; again and again, it goes further back."""
    from pipelines.promotion import history, moves
    from pipelines.registry.client import open_registry
    from pipelines.registry.versions import CHAMPION

    _, registry = open_registry(project)
    for move in moves.settle(project, registry):
        if move.kind == "outside":
            say(f"genloop: {move.reason}; now the history has it")
    champion = registry.alias(CHAMPION)
    target = history.previous_champion(project, registry) if to is None else check_former_champion(project, registry, to)
    if target is None:
        raise InputError("there is no earlier champion to go back to; see `genloop history`")
    done = moves.move(project, registry, target, champion, moves.person(), "rollback", reason or "no reason was given")
    if as_json:
        print(json.dumps(done.as_json(), indent=2))
    else:
        print(f"version {target} is champion again{f', in place of version {champion}' if champion is not None else ''}")


def check_former_champion(project: Project, registry: Registry, version: int) -> int:
    """The version itself. InputError where it has never been champion: only the gate promotes such a one."""
    from pipelines.promotion import history

    champions = sorted({move.to for move in history.moves(project, registry) if move.to is not None})
    if version not in champions:
        listed = ", ".join(map(str, champions)) or "none"
        raise InputError(
            f"--to {version}: has never been champion, so there is no going back to it; champions so far: {listed}; "
            f"`genloop promote --version {version}` lets the gate judge it"
        )
    return version
