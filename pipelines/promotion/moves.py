"""The one way the alias `champion` moves: compared with what the mover believed it to be, and entered in the history first."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime
from typing import Any

import numpy as np

from pipelines.core.errors import GenloopError, InputError
from pipelines.promotion import history
from pipelines.promotion.ledger import Ledger, Move, Why, stamp
from pipelines.registry import client
from pipelines.settings.schema import Params


class LostError(GenloopError):
    """The champion is not the one any more that a version was compared with; somebody else was faster."""


def move(
    params: Params,
    to: int,
    expected: int | None,
    by: str,
    verdict: Why,
    reason: str,
    figures: dict[str, Any] | None = None,
    benchmark_id: str | None = None,
) -> Move:
    """Make version `to` champion in place of `expected`; the challenger it was is no challenger any more.

    Args:
        by: who or what moves it; `person()` for who has typed a command.
        figures: the gate's verdict as JSON, for the history.

    Raises:
        InputError: there is no such version, or it is champion already.
        LostError: another one is champion than `expected`.
        GenloopError: the version does not load or draw, or a store does not answer. The alias has not moved, or the next
            command finishes the move.
    """
    if to == expected:
        raise InputError(f"version {to} is champion already")
    try_out(params, to)
    with Ledger.open(params.registry.model) as ledger, ledger.alone():
        history.settled(params, ledger)
        last = ledger.last()
        if (last.to if last else None) != expected:
            raise lost(to, expected, last)
        wanted = Move(0, params.registry.model, datetime.now(UTC), expected, to, by, verdict, reason, benchmark_id, figures)
        return history.follow(params, ledger, ledger.add(wanted))


def try_out(params: Params, version: int) -> None:
    """Load the version as any user would, and let it draw: what cannot is never champion."""
    try:
        drawn = client.load(params, version).draw(np.arange(client.TRIED), None)
        fault = None if len(drawn) == client.TRIED else f"it draws {len(drawn)} images when asked for {client.TRIED}"
    except GenloopError:
        raise
    except Exception as error:  # of the version's own code, of any kind
        fault = f"{type(error).__name__}: {str(error).strip().splitlines()[0][:300] if str(error).strip() else 'no words'}"
    if fault:
        raise GenloopError(
            f"version {version} cannot be used: {fault}; no alias has moved; restore its files or choose another"
        )


def lost(to: int, expected: int | None, last: Move | None) -> LostError:
    meant = f"version {to} was to follow {named(expected)}"
    again = "nothing was moved; see `genloop history`, and ask again"
    if last is None:
        return LostError(f"{meant}, but there is no champion; {again}")
    if last.to == to:
        return LostError(f"version {to} is champion already: {last.by} moved it there at {stamp(last.at)} ({last.verdict})")
    return LostError(
        f"{meant}, but champion is {named(last.to)}: {last.by} moved it there from {named(last.from_)} at {stamp(last.at)} "
        f"({last.verdict}); {again}"
    )


def named(version: int | None) -> str:
    return "none" if version is None else f"version {version}"


def person() -> str:
    """Who has typed the command, as far as this machine knows: ann@machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in a container
        name = "somebody"
    return f"{name}@{socket.gethostname()}"
