"""Moves of the alias `champion`: refused where the champion is not the expected one, and entered in the ledger first.

Two stores cannot be written at once. So a move is entered first, then the alias is set, and then the move is marked as done.
Where a process died in between, the next one finds a move that is not done, and finishes it.
"""

from __future__ import annotations

import getpass
import socket
from typing import Any

import numpy as np

from pipelines.core import timestamps
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback.store import database
from pipelines.promotion.ledger import Ledger, Move, MoveKind
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION, TRIED


class ChampionChangedError(GenloopError):
    """The champion is no longer the version that the new one was compared with: another process moved the alias first."""


def move(
    project: Project,
    registry: Registry,
    to: int,
    expected: int | None,
    by: str,
    kind: MoveKind,
    reason: str,
    figures: dict[str, Any] | None = None,
) -> Move:
    """Make version `to` champion in place of `expected`; the challenger it was is no challenger any more.

    Args:
        by: who or what moves it; `person()` for the user of the command line.
        figures: the gate's verdict as JSON, for the history.

    Raises:
        InputError: there is no such version, or it is champion already.
        ChampionChangedError: another one is champion than `expected`.
        GenloopError: the version does not load or generate, or a store does not answer. The alias has not moved, or the next
            command finishes the move.
    """
    if to == expected:
        raise InputError(f"version {to} is champion already")
    smoke_test(registry, to)
    with Ledger.open(project.database_url, registry.name) as ledger, ledger.exclusive():
        settle_locked(registry, ledger)
        last = ledger.last()
        if (last.to if last else None) != expected:
            raise ChampionChangedError(conflict_message(to, expected, last))
        benchmark_id = str(figures["benchmark_id"]) if figures else None
        entry = Move(0, registry.name, timestamps.now(), expected, to, by, kind, reason, benchmark_id, figures)
        return follow(registry, ledger, ledger.add(entry))


def settle(project: Project, registry: Registry) -> list[Move]:
    """Make ledger and alias agree: finish what a process that died has left, and enter what was done without Genloop.

    Where nothing has ever been champion, nothing is made by asking.

    Returns:
        What was entered or finished; empty when they agreed.
    """
    if not registry.reachable():
        return []
    champion = registry.alias(CHAMPION)
    if champion is None and not database.reachable(project.database_url):
        return []
    with Ledger.open(project.database_url, registry.name) as ledger:
        if agree(ledger.last(), champion):
            return []
        with ledger.exclusive():  # what looked unfinished may be what somebody is just doing
            return settle_locked(registry, ledger)


def agree(last: Move | None, champion: int | None) -> bool:
    return champion is None if last is None else last.done and last.to == champion


def settle_locked(registry: Registry, ledger: Ledger) -> list[Move]:
    """As `settle`, for a caller that has locked the ledger."""
    moves = []
    last = ledger.last()
    if last and not last.done:
        last = follow(registry, ledger, last)
        moves.append(last)
    aliases = registry.aliases()
    if not agree(last, aliases.get(CHAMPION)):
        moves.append(ledger.add(outside_move(registry, last, aliases)))
    return moves


def follow(registry: Registry, ledger: Ledger, move: Move) -> Move:
    """Let the alias follow a move that was entered, unless somebody has set it elsewhere, and mark the move as done."""
    assert move.to is not None  # only a move from outside, which is done, leads to none
    if registry.alias(CHAMPION) == move.from_ and registry.has(move.to):
        registry.set_alias(CHAMPION, move.to)
    if registry.alias(CHALLENGER) == move.to:
        registry.set_alias(CHALLENGER, None)
    return ledger.finish(move)


def outside_move(registry: Registry, last: Move | None, aliases: dict[str, int]) -> Move:
    """The move that must have happened, for the alias to be where it is."""
    model, champion = registry.name, aliases.get(CHAMPION)
    if last is None and champion == 1 and aliases.get(CHALLENGER) != 1:  # `register` gives one alias alone
        created = registry.version(champion).created
        return Move(0, model, created, None, champion, "register", "first", "the first version there was", done=True)
    before = last.to if last else None
    if last is None:
        reason = "was champion already when this history began"
    elif before is not None and not registry.has(before):
        reason = f"version {before} is no longer in the registry"
    else:
        reason = f"the alias was moved without Genloop, between {timestamps.iso(last.at, 'microseconds')} and this time"
    return Move(0, model, timestamps.now(), before, champion, "unknown", "outside", reason, done=True)


def smoke_test(registry: Registry, version: int) -> None:
    """Load the version as a user would, and generate a few images: a version that cannot is never champion."""
    try:
        images = registry.load(version).draw(np.arange(TRIED), None)
        fault = None if len(images) == TRIED else f"it generates {len(images)} images when asked for {TRIED}"
    except InputError:
        raise
    except GenloopError as error:
        fault = str(error)
    except Exception as error:  # of the version's own code, of any kind
        fault = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300] if str(error).strip() else 'no words'}"
    if fault:
        raise GenloopError(
            f"version {version} cannot be used: {fault}; no alias has moved; restore its files or choose another"
        )


def conflict_message(to: int, expected: int | None, last: Move | None) -> str:
    summary = f"version {to} was to follow {describe_version(expected)}"
    hint = "nothing was moved; see `genloop history`, and ask again"
    if last is None:
        return f"{summary}, but there is no champion; {hint}"
    at = timestamps.iso(last.at, "microseconds")
    if last.to == to:
        return f"version {to} is champion already: {last.by} moved it there at {at} ({last.kind})"
    now, before = describe_version(last.to), describe_version(last.from_)
    return f"{summary}, but champion is {now}: {last.by} moved it there from {before} at {at} ({last.kind}); {hint}"


def describe_version(version: int | None) -> str:
    return "none" if version is None else f"version {version}"


def person() -> str:
    """The user of the command line, as this machine knows them: ann@machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        name = "somebody"
    return f"{name}@{socket.gethostname()}"
