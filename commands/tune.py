"""genloop tune: searches for better settings, and writes the best ones as an overlay."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import console
from commands.app import Json, Overlays, Settings, command
from commands.run import update
from pipelines.core.errors import GenloopError
from pipelines.core.numbers import three_digits
from pipelines.core.progress import duration, say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.tuning.search import SearchResult
    from pipelines.tuning.study import TrialRecord

MAX_ROWS = 10  # of the table
JSON_KEYS = {"values": "settings", "intermediate": "looks"}  # of trials, where they are not the names of the fields


@command(writes=True)
def tune(
    project: Project,
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="More trials than there are; without it as many as tune.trials says.")
    ] = None,
    overlays: Overlays = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="File of the best settings; else data/reports/tuned.yaml.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for better settings among those that tune.space names, by short trainings scored on rows left out.

    What it finds is a file for `genloop run --params`. It can be stopped at any time; started again, it goes on. Several may
    work at the same study. Settings given here are written into params.yaml.
    """
    from pipelines.registry.client import open_registry
    from pipelines.tuning import space
    from workspace.locks import run_lock

    if overlays or settings:
        with run_lock(project):
            update(project, overlays, settings)
    params, registry = open_registry(project)
    space.check(params)

    from pipelines.scoring import readings
    from pipelines.tuning import search  # only now: the import takes a second, and faults of the space are found without it

    file = out or project.reports / "tuned.yaml"
    try:
        result = search.run(project, params, registry, trials, file, TrialPrinter(readings.unbiased_key(params.tune.metric)))
    except KeyboardInterrupt:
        raise GenloopError("interrupted; the finished trials are kept, and `genloop tune` goes on with the rest") from None
    print(json.dumps(as_record(project, result), indent=2)) if as_json else show(result)


class TrialPrinter:
    """Prints a line on stderr for each trial, with an estimate of the time left."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.seconds: list[float] = []

    def __call__(self, trial: TrialRecord, count: int, wanted: int) -> None:
        self.seconds.append(trial.seconds or 0.0)
        mean = sum(self.seconds) / len(self.seconds)
        left = f", {duration((wanted - count) * mean)} left" if count < wanted else ""
        line = f"trial {trial.number}, {count} of {wanted}: {outcome(trial, self.metric)}"
        say(f"tune: {line} after {duration(self.seconds[-1])}{left}")


def outcome(trial: TrialRecord, metric: str) -> str:
    if trial.value is not None:
        return f"{metric} {three_digits(trial.value)}"
    if trial.intermediate and trial.state == "pruned":
        step = max(trial.intermediate)
        return f"pruned at step {step:,}, where {metric} was {three_digits(trial.intermediate[step])}"
    return f"{trial.state}: {trial.reason}" if trial.reason else trial.state


def show(result: SearchResult) -> None:
    from pipelines.scoring import readings

    keys = list(result.best[0].values)
    columns = ("trial", readings.unbiased_key(result.metric), *(key.rpartition(".")[2] for key in keys), "time")
    rows = (
        (
            str(trial.number),
            "-" if trial.value is None else three_digits(trial.value),
            *(number(trial.values.get(key, "-")) for key in keys),
            duration(trial.seconds or 0),
        )
        for trial in result.best[:MAX_ROWS]
    )
    console.table(columns, rows, wide=True)
    counts = {state: sum(trial.state == state for trial in result.trials) for state in ("done", "pruned", "failed")}
    words = ", ".join(f"{count} {state}" for state, count in counts.items())
    print(f"\n{result.study}: {words}; plot: {os.path.relpath(result.plot)}")
    print(f"genloop run --params {shlex.quote(os.path.relpath(result.overlay))}   # the best of them")


def number(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def as_record(project: Project, result: SearchResult) -> dict[str, Any]:
    best = result.best[0]
    return {
        "study": result.study,
        "metric": result.metric,
        "better": "lower" if result.lower else "higher",
        "best": {"trial": best.number, "value": best.value, "settings": best.values},
        "trials": [{JSON_KEYS.get(name, name): value for name, value in asdict(trial).items()} for trial in result.trials],
        "overlay": str(project.relative(result.overlay)),
        "plot": str(project.relative(result.plot)),
    }
