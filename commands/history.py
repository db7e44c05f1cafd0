"""genloop history: which version was champion when, and why; or what one version was made of."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelines.core import paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params

if TYPE_CHECKING:
    from pipelines.promotion.ledger import Move


def history(version: int | None, at: str | None, as_json: bool) -> None:
    if version is not None and at is not None:
        raise InputError("history: expected VERSION or --at, came both; ask twice")
    then = moment(at) if at is not None else None
    os.chdir(paths.root())
    params = load_params()
    if version is not None:
        lineage(params, version, as_json)
        return
    settle(params)
    if then:
        champion(params, then, as_json)
        return

    from pipelines.promotion.history import moves

    found = moves(params)
    print(json.dumps([move.as_json() for move in found], indent=2)) if as_json else show(found)


def settle(params: Params) -> None:
    """A registry that does not answer keeps nobody from reading what was entered."""
    from pipelines.promotion import history

    try:
        history.settle(params)
    except GenloopError as error:
        print(f"genloop: {error}; what follows is as far as the database knows", file=sys.stderr)


def lineage(params: Params, version: int, as_json: bool) -> None:
    from pipelines.promotion import lineage

    found = lineage.of(params, version)
    print(json.dumps(found.as_json(), indent=2) if as_json else "\n".join(found.lines()))


def champion(params: Params, then: datetime, as_json: bool) -> None:
    from pipelines.promotion.history import champion_at
    from pipelines.promotion.ledger import stamp

    version = champion_at(params, then)
    if as_json:
        print(json.dumps({"at": stamp(then), "model": params.registry.model, "champion": version}, indent=2))
    else:
        print(f"version {version}" if version is not None else "none is known to have been champion then")


def moment(at: str) -> datetime:
    """Raises InputError where `at` is no time, or one that has not come yet."""
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise InputError(f"--at {at}: expected a time as in 2026-01-31, 2026-01-31T12:00 or 2026-01-31T12:00+02:00") from None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if found > datetime.now(UTC):
        raise InputError(f"--at {at}: has not come yet; a time without a zone is UTC")
    return found


def show(found: list[Move]) -> None:
    from rich.console import Console
    from rich.table import Table

    if not found:
        print("no version has been champion yet")
        return
    table = Table("at (UTC)", "from", "to", "verdict", "by", "why", box=None, header_style="dim", pad_edge=False)
    for move in found:
        table.add_row(f"{move.at:%Y-%m-%d %H:%M:%S}", shown(move.from_), shown(move.to), move.verdict, move.by, move.reason)
    Console(highlight=False, markup=False).print(table)


def shown(version: int | None) -> str:
    return "-" if version is None else str(version)
