"""The folder of a simulation: its settings, the copy of the project, and the figures, plots and images of all turns."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from PIL.Image import Image

from pipelines.core import files, grids
from pipelines.core.errors import GenloopError, InputError
from pipelines.simulation.judge import Judge
from pipelines.simulation.samples import TurnImages
from pipelines.simulation.settings import Simulation
from pipelines.simulation.turns import Turn, table

PROJECT, ABOUT, TABLE, PLOT, GRID = "project", "simulation.json", "turns.csv", "turns.png", "samples-turn-{}.png"
IGNORED, LOCK = ".gitignore", ".lock"
COLUMNS, ROWS = 12, 10  # of a grid
BLUE, ORANGE, GREY = "#1f6fb4", "#d9730d", "#8a8a8a"


@contextmanager
def prepare_folder(out: Path, settings: Simulation) -> Iterator[None]:
    """`out` with nothing in it but the settings, locked against another simulation.

    Raises:
        InputError: it holds something that no simulation has made.
        GenloopError: a simulation is going on there.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder, or nothing; it is a file")
    out.mkdir(parents=True, exist_ok=True)
    names = [path.name for path in out.iterdir() if path.name != LOCK]
    if names and not (out / ABOUT).is_file():
        raise InputError(f"{out}: holds {names[0]}, and no simulation made it; give a new or an empty folder with --out")
    try:
        lock = FileLock(out / LOCK, timeout=0).acquire()
    except Timeout:
        raise GenloopError(
            f"{out}: another simulation is going on there; wait for it, or give another folder with --out"
        ) from None
    with lock:
        shutil.rmtree(out / PROJECT, ignore_errors=True)
        for path in (out / TABLE, out / PLOT, *out.glob(GRID.format("*"))):
            path.unlink(missing_ok=True)
        files.write(out / IGNORED, "*\n")  # where it lies in a project, it is no part of it
        describe(out, settings)
        yield


def describe(out: Path, settings: Simulation, judge: Judge | None = None) -> None:
    """The settings, and what the real data is to the taste and to the classifier, once that is known."""
    about = {"settings": settings.model_dump(mode="json")}
    if judge:
        about["real"] = {"approval": judge.real_approval, "classifier_accuracy": judge.accuracy}
    files.write(out / ABOUT, json.dumps(about, indent=2) + "\n")


def show(out: Path, turns: Sequence[Turn], judge: Judge, fresh: TurnImages) -> None:
    """The table, the plot, and a grid of the last turn's images: the same seeds at each turn."""
    files.write(out / TABLE, table(turns))
    files.write(out / PLOT, plot(turns, judge.real_approval))
    files.write(out / GRID.format(turns[-1].turn), grids.png(grid(fresh)))


def grid(fresh: TurnImages) -> Image:
    if 1 < len(fresh.classes) <= ROWS:
        first = slice(COLUMNS * len(fresh.classes))
        return grids.by_class(fresh.images[first], fresh.labels[first], fresh.classes, COLUMNS)
    return grids.grid(fresh.images[: COLUMNS * ROWS], COLUMNS)


def plot(turns: Sequence[Turn], real_approval: float) -> bytes:
    """PNG of four plots over the turns; `real_approval` is the share of real rows that the taste likes."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 7), layout="constrained")
    approval, fid, spread, balance = figure.subplots(2, 2).ravel()
    line(approval, turns, "approval", BLUE, "")
    approval.axhline(real_approval, color=GREY, linestyle="--", label="real images")
    approval.set_title("share that the taste likes, fresh samples")
    line(fid, turns, "fid_unbiased", BLUE, "without the bias of few images", interval="fid")
    if any(turn.fid is not None for turn in turns):
        line(fid, turns, "fid", GREY, "as other libraries print it", interval="")
    fid.set_ylim(bottom=0)
    fid.set_title("FID")
    line(spread, turns, "recall", BLUE, "recall")
    line(spread, turns, "coverage", ORANGE, "coverage")
    spread.set_ylim(0, 1)
    spread.set_title("recall and coverage")
    line(balance, turns, "greatest", ORANGE, "class with the most")
    line(balance, turns, "least", BLUE, "class with the least")
    for bound in (0.5, 2):
        balance.axhline(bound, color=GREY, linestyle="--")
    balance.set_yscale("symlog", base=2, linthresh=0.25)  # a class may have nothing at all
    balance.set_yticks([0, 0.25, 0.5, 1, 2, 4, 8])
    balance.set_ylim(0, max([2.5, *(1.1 * turn.greatest for turn in turns if turn.greatest)]))
    balance.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    balance.set_title("share of a class, of the share asked for")
    for axes in (approval, fid, spread, balance):
        axes.set_xlabel("turn")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def line(axes: Any, turns: Sequence[Turn], name: str, colour: str, label: str, interval: str | None = None) -> None:
    """One figure over the turns, with its interval where it has one. Turns without the figure are left out.

    interval: what the names of its ends begin with; without it the figure's own name.
    """
    measured = [turn for turn in turns if getattr(turn, name) is not None]
    if not measured:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=GREY)
        return
    numbers = [turn.turn for turn in measured]
    axes.plot(numbers, [getattr(turn, name) for turn in measured], "o-", color=colour, label=label or None)
    ends = name if interval is None else interval
    low, high = ([getattr(turn, f"{ends}_{end}", None) for turn in measured] for end in ("low", "high"))
    if None not in low and None not in high:
        axes.vlines(numbers, low, high, color=colour, alpha=0.5, linewidth=4)
