"""The folder of a simulation: its settings, the copy of the project, and what came of each turn."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipelines.core import files, grids
from pipelines.core.errors import GenloopError, InputError
from pipelines.simulation import chart
from pipelines.simulation.judge import Judge
from pipelines.simulation.samples import Drawn
from pipelines.simulation.settings import Simulation
from pipelines.simulation.turns import Turn, table

PROJECT, ABOUT, TABLE, PLOT, GRID = "project", "simulation.json", "turns.csv", "turns.png", "samples-turn-{}.png"
IGNORED, LOCK = ".gitignore", ".lock"
COLUMNS, ROWS = 12, 10  # of a grid


@contextmanager
def prepared(out: Path, settings: Simulation) -> Iterator[None]:
    """`out` with nothing in it but the settings, held against another simulation.

    Raises:
        InputError: it holds something that no simulation has made.
        GenloopError: a simulation is going on there.
    """
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: expected a folder, or nothing; it is a file")
    out.mkdir(parents=True, exist_ok=True)
    others = [path.name for path in out.iterdir() if path.name != LOCK]
    if others and not (out / ABOUT).is_file():
        raise InputError(f"{out}: holds {others[0]}, and no simulation made it; give a new or an empty folder with --out")
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


def show(out: Path, turns: Sequence[Turn], judge: Judge, fresh: Drawn) -> None:
    """The table, the plot, and of the last turn a grid of what was drawn: the same seeds at each turn."""
    files.write(out / TABLE, table(turns))
    files.write(out / PLOT, chart.png(turns, judge.real_approval))
    files.write(out / GRID.format(turns[-1].turn), grids.png(grid(fresh)))


def grid(fresh: Drawn):  # type: ignore[no-untyped-def]
    if 1 < len(fresh.classes) <= ROWS:
        some = slice(COLUMNS * len(fresh.classes))
        return grids.by_class(fresh.images[some], fresh.labels[some], fresh.classes, COLUMNS)
    return grids.grid(fresh.images[: COLUMNS * ROWS], COLUMNS)
