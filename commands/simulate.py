"""genloop simulate: runs the loop with simulated raters, in a copy of this project."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import console
from commands.app import Json, command
from pipelines.core.numbers import three_digits
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.simulation.turns import Turn


@command(writes=True)
def simulate(
    project: Project,
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="YAML, as examples/simulate.yaml.")] = None,
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="As in turns=3, of CONFIG.")] = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="Folder of the table, the plot and the scratch copy.")] = Path("simulation"),
    as_json: Json = False,
) -> None:
    """Run the loop with simulated raters, in a copy of this project."""
    from pipelines.settings.load import load_params
    from pipelines.simulation.settings import load
    from pipelines.simulation.turns import records
    from workspace.scratch import SHARED_GPU

    simulation, params = load(config, settings), load_params(project.params_file)
    out = out.absolute()
    for name, value in SHARED_GPU.items():  # this process generates while stages train in theirs
        os.environ.setdefault(name, value)

    from operations.simulate import run

    turns: list[Turn] = []
    try:
        for turn in run(project, params, simulation, out):
            turns.append(turn)
            approval = f"{turn.approval:.1%} ({turn.approval_low:.1%} to {turn.approval_high:.1%})"
            fid = f", fid_unbiased {distance(turn)}" if turn.fid_unbiased is not None else ""
            say(f"turn {turn.turn}: the taste likes {approval}{fid}, after {turn.seconds:.0f} s")
    finally:  # what was done until Ctrl-C, or until a stage failed, is worth seeing
        if turns:
            if as_json:
                print(json.dumps(records(turns), indent=2))
            else:
                lines = [cells(turn) for turn in turns]
                console.table(list(lines[0]), [list(line.values()) for line in lines], wide=True)
            say(f"{out}: table, plot, and grids of the same seeds at each turn")


def distance(turn: Turn) -> str:
    """fid without its bias, with its interval."""
    values = (turn.fid_unbiased, turn.fid_low, turn.fid_high)
    if None in values:
        return "-"
    value, low, high = (three_digits(value) for value in values if value is not None)
    return f"{value} ({low} to {high})"


def cells(turn: Turn) -> dict[str, str]:
    """The cells of a turn's line in the table, by column."""
    values = (turn.fid, turn.recall, turn.coverage)
    fid, recall, coverage = ("-" if value is None else three_digits(value) for value in values)
    return {
        "turn": str(turn.turn),
        "version": str(turn.version),
        "liked": f"{turn.approval:.1%}",
        "95%": f"{turn.approval_low:.1%} to {turn.approval_high:.1%}",
        "fid_unbiased": distance(turn),
        "fid elsewhere": fid,
        "recall": recall,
        "coverage": coverage,
        "classes": "-" if turn.least is None else f"{turn.least:.2f} to {turn.greatest:.2f}",
        "generated rows": f"{turn.generated:,}",
        "effective": f"{turn.effective:.2f}",
        "votes rejected": "-" if turn.set_aside is None else f"{turn.set_aside:.1%}",
        "time": f"{turn.seconds:.0f} s",
    }
