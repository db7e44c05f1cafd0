"""genloop rollback: the champion before becomes champion again."""

from __future__ import annotations

import json
import os
import sys

from pipelines.core import paths
from pipelines.core.errors import InputError
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params


def rollback(to: int | None, reason: str | None, as_json: bool) -> None:
    os.chdir(paths.root())
    params = load_params()

    from pipelines.promotion import history, moves
    from pipelines.registry import client

    for move in history.settle(params):
        if move.verdict == "outside":
            print(f"genloop: {move.reason}; now the history has it", file=sys.stderr)
    champion = client.holder(params, client.CHAMPION)
    target = earlier(params) if to is None else known(params, to)
    done = moves.move(params, target, champion, moves.person(), "rollback", reason or "no reason was given")
    if as_json:
        print(json.dumps(done.as_json(), indent=2))
    else:
        print(f"version {target} is champion again{f', in place of version {champion}' if champion is not None else ''}")


def earlier(params: Params) -> int:
    from pipelines.promotion import history

    version = history.before(params)
    if version is None:
        raise InputError("there is no earlier champion to go back to; see `genloop history`")
    return version


def known(params: Params, version: int) -> int:
    """Raises InputError where the version has never been champion: to make it that is for the gate."""
    from pipelines.promotion import history

    champions = sorted({move.to for move in history.moves(params) if move.to is not None})
    if version not in champions:
        there = ", ".join(map(str, champions)) or "none"
        raise InputError(
            f"--to {version}: has never been champion, so there is no going back to it; champions so far: {there}; "
            f"`genloop promote --version {version}` lets the gate judge it"
        )
    return version
