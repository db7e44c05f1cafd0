"""genloop tune: a study of settings, and the best of them as an overlay."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.run import from_root, interrupt
from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.core.progress import duration
from pipelines.settings.load import load_params
from pipelines.settings.overlay import update_params
from pipelines.settings.schema import Params

if TYPE_CHECKING:
    from pipelines.tuning.search import Found
    from pipelines.tuning.study import Tried

OUT = paths.REPORTS / "tuned.yaml"
SHOWN = 10  # trials of the table


def tune(more: int | None, overlays: Iterable[Path], changes: Iterable[str], out: Path | None, as_json: bool) -> None:
    here = Path.cwd()
    overlays, changes = [overlay.resolve() for overlay in overlays], list(changes)
    out = out.absolute() if out else None
    os.chdir(paths.root())
    signal.signal(signal.SIGTERM, interrupt)
    params = set_up(overlays, [from_root(change, here) for change in changes])

    from pipelines.tuning import space

    space.check(params)
    from pipelines.tuning import search  # only now: it takes a second, which a fault in the space need not wait

    told = Told(params.tune.metric)
    try:
        found = search.run(params, more, out or OUT, told)
    except KeyboardInterrupt:
        raise GenloopError("interrupted; the trials until now are kept, and `genloop tune` goes on with the rest") from None
    print(json.dumps(record(found), indent=2)) if as_json else show(found)


def set_up(overlays: list[Path], changes: list[str]) -> Params:
    if not overlays and not changes:
        return load_params()
    from workspace.locks import alone

    with alone():
        return update_params(overlays, changes)


class Told:
    """A line on stderr for each trial."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.took: list[float] = []

    def __call__(self, trial: Tried, have: int, wanted: int) -> None:
        self.took.append(trial.seconds or 0.0)
        left = f", {duration((wanted - have) * sum(self.took) / len(self.took))} left" if have < wanted else ""
        line = f"trial {trial.number}, {have} of {wanted}: {outcome(trial, self.metric)} after {duration(self.took[-1])}{left}"
        print(f"tune: {line}", file=sys.stderr, flush=True)


def outcome(trial: Tried, metric: str) -> str:
    if trial.value is not None:
        return f"{metric} {trial.value:.4g}"
    if trial.looks and trial.state == "pruned":
        step = max(trial.looks)
        return f"pruned at step {step:,}, where {metric} was {trial.looks[step]:.4g}"
    return f"{trial.state}: {trial.reason}" if trial.reason else trial.state


def show(found: Found) -> None:
    from rich.console import Console
    from rich.table import Table

    keys = list(found.best[0].values)
    columns = ("trial", found.metric, *(key.rpartition(".")[2] for key in keys), "time")
    table = Table(*columns, box=None, header_style="dim", pad_edge=False)
    for trial in found.best[:SHOWN]:
        cells = (number(trial.values.get(key, "-")) for key in keys)
        table.add_row(str(trial.number), f"{trial.value:.4g}", *cells, duration(trial.seconds or 0))
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 140)
    console.print(table)
    counts = {state: sum(trial.state == state for trial in found.trials) for state in ("done", "pruned", "failed")}
    console.print(f"\n{found.study}: {', '.join(f'{count} {state}' for state, count in counts.items())}; plot: {found.plot}")
    console.print(f"genloop run --params {shlex.quote(str(found.overlay))}   # the best of them")


def number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def record(found: Found) -> dict[str, Any]:
    best = found.best[0]
    return {
        "study": found.study,
        "metric": found.metric,
        "better": "lower" if found.lower else "higher",
        "best": {"trial": best.number, "value": best.value, "settings": best.values},
        "trials": [
            {("settings" if key == "values" else key): value for key, value in asdict(trial).items()} for trial in found.trials
        ],
        "overlay": str(found.overlay),
        "plot": str(found.plot),
    }
