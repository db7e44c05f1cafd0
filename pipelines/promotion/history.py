"""What was champion, and when: the database's moves, held against the alias in the registry.

Two stores cannot be written at once. So a move is entered first, then the alias is set, and then the move is marked as done.
Whoever comes after a process that died in between finds a move that is not done, and finishes it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pipelines.feedback.store import database
from pipelines.promotion.ledger import Ledger, Move, stamp
from pipelines.registry import client
from pipelines.registry.client import CHALLENGER, CHAMPION
from pipelines.settings.schema import Params


def settle(params: Params) -> list[Move]:
    """Make history and alias agree: finish what a process that died has left, and enter what was done without Genloop.

    Where nothing has ever been champion, nothing is made by asking.

    Returns:
        What was entered or finished; empty when they agreed.
    """
    if not client.reachable():
        return []
    champion = client.holder(params, CHAMPION)
    if champion is None and not database.reachable():
        return []
    with Ledger.open(params.registry.model) as ledger:
        if agree(ledger.last(), champion):
            return []
        with ledger.alone():  # what looked unfinished may be what somebody is just doing
            return settled(params, ledger)


def agree(last: Move | None, champion: int | None) -> bool:
    return champion is None if last is None else last.done and last.to == champion


def settled(params: Params, ledger: Ledger) -> list[Move]:
    """As `settle`, for who holds the alias."""
    found = []
    last = ledger.last()
    if last and not last.done:
        last = follow(params, ledger, last)
        found.append(last)
    champion = client.holder(params, CHAMPION)
    if not agree(last, champion):
        found.append(ledger.add(noticed(params, last, champion)))
    return found


def follow(params: Params, ledger: Ledger, move: Move) -> Move:
    """Let the alias follow a move that was entered, unless somebody has set it elsewhere, and mark the move as done."""
    assert move.to is not None  # only what was noticed, and so is done, leads to none
    if client.holder(params, CHAMPION) == move.from_ and there(params, move.to):
        client.point(params, CHAMPION, move.to)
    if client.holder(params, CHALLENGER) == move.to:
        client.point(params, CHALLENGER, None)
    return ledger.finish(move)


def there(params: Params, version: int) -> bool:
    try:
        client.version(params, version)
    except client.NoVersionError:
        return False
    return True


def noticed(params: Params, last: Move | None, champion: int | None) -> Move:
    """The move that must have been, for the alias to be where it is."""
    model, now = params.registry.model, datetime.now(UTC)
    if last is None and champion == 1 and client.holder(params, CHALLENGER) != 1:  # `register` gives one alias alone
        created = client.version(params, champion).created
        return Move(0, model, created, None, champion, "register", "first", "the first version there was", done=True)
    before = last.to if last else None
    if last is None:
        reason = "was champion already when this history began"
    elif before is not None and not there(params, before):
        reason = f"version {before} is no longer in the registry"
    else:
        reason = f"the alias was moved without Genloop, between {stamp(last.at)} and this time"
    return Move(0, model, now, before, champion, "unknown", "outside", reason, done=True)


def moves(params: Params) -> list[Move]:
    """All moves, oldest first; `settle` first brings them up to date."""
    if not database.reachable():
        return []
    with Ledger.open(params.registry.model) as ledger:
        return ledger.moves()


def champion_at(params: Params, time: datetime) -> int | None:
    """The version that was champion at a time, which has a time zone; None where none was, or none is known."""
    then = [move for move in moves(params) if move.at <= time]
    return then[-1].to if then else None


def before(params: Params) -> int | None:
    """What `rollback` goes back to: the champion before this one that is still in the registry, if there is one.

    A rollback takes back the move that it undoes, so that the next one goes further back.
    """
    stack = champions(moves(params))
    present = stack.pop() if stack else None
    earlier = [version for version in reversed(stack) if version is not None and version != present]
    return next((version for version in earlier if there(params, version)), None)


def champions(moves: list[Move]) -> list[int | None]:
    """The champions that were never rolled back, oldest first; the last one is the present one."""
    stack: list[int | None] = []
    for move in moves:
        if move.verdict == "rollback" and move.to in stack:
            while stack[-1] != move.to:
                stack.pop()
        else:
            stack.append(move.to)
    return stack
