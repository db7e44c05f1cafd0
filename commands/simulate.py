"""genloop simulate: the loop with simulated raters, in a copy of this project."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from commands.run import interrupt
from pipelines.core import paths
from pipelines.simulation import settings as simulation
from pipelines.simulation.turns import Turn, records

HEADERS = (
    "turn",
    "version",
    "liked",
    "95%",
    "FID",
    "recall",
    "coverage",
    "classes",
    "drawn rows",
    "effective",
    "set aside",
    "time",
)


def simulate(config: Path | None, changes: Iterable[str], out: Path, as_json: bool) -> None:
    settings = simulation.load(config, changes)
    out = out.absolute()
    os.chdir(paths.root())
    signal.signal(signal.SIGTERM, interrupt)

    from operations import simulate as loop

    turns: list[Turn] = []

    def told(turn: Turn) -> None:
        turns.append(turn)
        tell(turn)

    try:
        loop.run(settings, out, told=told)
    finally:  # what was done until Ctrl-C, or until a stage failed, is worth seeing
        if turns:
            print(json.dumps(records(turns), indent=2)) if as_json else show(turns)
            print(f"{out}: table, plot, and grids of the same seeds at each turn", file=sys.stderr)


def tell(turn: Turn) -> None:
    about = f"turn {turn.turn}: the taste likes {turn.approval:.1%} ({turn.approval_low:.1%} to {turn.approval_high:.1%})"
    fid = f", FID {turn.fid:.3g}" if turn.fid is not None else ""
    print(f"{about}{fid}, after {turn.seconds:.0f} s", file=sys.stderr, flush=True)


def show(turns: Sequence[Turn]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*HEADERS, box=None, header_style="dim", pad_edge=False)
    for turn in turns:
        table.add_row(*cells(turn))
    Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(table)


def cells(turn: Turn) -> list[str]:
    balance = f"{turn.least:.2f} to {turn.greatest:.2f}" if turn.least is not None else "-"
    return [
        str(turn.turn),
        str(turn.version),
        f"{turn.approval:.1%}",
        f"{turn.approval_low:.1%} to {turn.approval_high:.1%}",
        *("-" if value is None else f"{value:.3g}" for value in (turn.fid, turn.recall, turn.coverage)),
        balance,
        f"{turn.generated:,}",
        f"{turn.effective:.2f}",
        "-" if turn.set_aside is None else f"{turn.set_aside:.1%}",
        f"{turn.seconds:.0f} s",
    ]
