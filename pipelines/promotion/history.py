"""The history of champions, by the ledger of moves: which version was champion when. `moves.settle` brings it up to date."""

from __future__ import annotations

from datetime import datetime

from pipelines.core.project import Project
from pipelines.feedback.store import database
from pipelines.promotion.ledger import Ledger, Move
from pipelines.registry.client import Registry


def moves(project: Project, registry: Registry) -> list[Move]:
    """All moves, oldest first."""
    if not database.reachable(project.database_url):
        return []
    with Ledger.open(project.database_url, registry.name) as ledger:
        return ledger.moves()


def champion_at(project: Project, registry: Registry, time: datetime) -> int | None:
    """The version that was champion at a time, which has a time zone; None where none was, or none is known."""
    earlier = [move for move in moves(project, registry) if move.at <= time]
    return earlier[-1].to if earlier else None


def previous_champion(project: Project, registry: Registry) -> int | None:
    """The version that `rollback` goes back to: the champion before this one that is still in the registry, if there is one.

    A rollback takes back the move that it undoes, so that the next one goes further back.
    """
    stack = champions(moves(project, registry))
    present = stack.pop() if stack else None
    earlier = [version for version in reversed(stack) if version is not None and version != present]
    return next((version for version in earlier if registry.has(version)), None)


def champions(moves: list[Move]) -> list[int | None]:
    """The champions that were never rolled back, oldest first; the last one is the present one."""
    stack: list[int | None] = []
    for move in moves:
        if move.kind == "rollback" and move.to in stack:
            while stack[-1] != move.to:
                stack.pop()
        else:
            stack.append(move.to)
    return stack
