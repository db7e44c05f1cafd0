"""The plot of a study: the course of its scores, and the score over each setting."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.scoring import readings
from pipelines.settings.schema import NumberRange, TuneParams
from pipelines.tuning.study import DONE, FAILED, PRUNED, TrialRecord

BLUE, ORANGE, GREY, RED = "#1f6fb4", "#d9730d", "#8a8a8a", "#b3261e"
COLUMNS = 3
LOG_RATIO = 10  # greatest score over least, above which an axis is logarithmic
JITTER = 0.12  # between dots of equal choices, as a share of the way to the next choice


def png(trials: Sequence[TrialRecord], tune: TuneParams, lower: bool) -> bytes:
    """Above, the course of the study; below, the score over each setting of the space. One trial is done at least."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(tune.space) / COLUMNS)
    figure = Figure(figsize=(11, 3.6 + 3.1 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, COLUMNS)
    course = figure.add_subplot(grid[0, :])
    history(course, trials, tune, lower)
    scores = [score for trial in trials if (score := latest_score(trial)) is not None]
    log = bool(scores) and min(scores) > 0 and max(scores) > LOG_RATIO * min(scores)
    axes = [course]
    for number, key in enumerate(tune.space):
        axes.append(figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS]))
        score_over(axes[-1], trials, key, tune)
    for one in axes:
        one.set_yscale("log" if log else "linear")
        one.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def history(axes: Any, trials: Sequence[TrialRecord], tune: TuneParams, lower: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    plot_trials(axes, [(trial.number, trial) for trial in trials])
    for failed in (trial for trial in trials if trial.state == FAILED):
        axes.plot(failed.number, 0.03, "x", color=RED, transform=axes.get_xaxis_transform(), label="failed")
    done = [(trial.number, trial.value) for trial in trials if trial.value is not None]
    running_best = (np.minimum if lower else np.maximum).accumulate([value for _, value in done])
    numbers = [*(number for number, _ in done), max(trial.number for trial in trials)]
    axes.step(numbers, [*running_best, *running_best[-1:]], where="post", color=BLUE, label="best so far")
    axes.set_title(f"{readings.unbiased_key(tune.metric)} of the trials, {'lower' if lower else 'higher'} is better")
    axes.set_xlabel("trial; the first is as params.yaml has it")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each once
    axes.legend(names.values(), names.keys())


def score_over(axes: Any, trials: Sequence[TrialRecord], key: str, tune: TuneParams) -> None:
    entry = tune.space[key]
    if isinstance(entry, NumberRange):
        plot_trials(axes, [(trial.values[key], trial) for trial in trials if key in trial.values])
        axes.set_xscale("log" if entry.log else "linear")
    else:
        places = {repr(choice): place for place, choice in enumerate(entry)}
        jitter = (-JITTER, 0.0, JITTER)
        with_value = [trial for trial in trials if key in trial.values]
        plot_trials(axes, [(places[repr(trial.values[key])] + jitter[trial.number % 3], trial) for trial in with_value])
        axes.set_xticks(range(len(entry)), [str(choice) for choice in entry])
        axes.set_xlim(-0.5, len(entry) - 0.5)
    axes.set_title(key)


def plot_trials(axes: Any, points: Sequence[tuple[float, TrialRecord]]) -> None:
    """A dot for each trial that is done, and a grey one for each that was stopped, at its last score."""
    for state, colour, marker, label in ((PRUNED, GREY, "v", "stopped half-way"), (DONE, ORANGE, "o", "done")):
        dots = [(place, latest_score(trial)) for place, trial in points if trial.state == state]
        if dots:
            axes.plot(*zip(*dots, strict=True), marker, color=colour, label=label)


def latest_score(trial: TrialRecord) -> float | None:
    """Its score, or the last one before it was stopped."""
    if trial.value is not None:
        return trial.value
    return trial.intermediate[max(trial.intermediate)] if trial.state == PRUNED and trial.intermediate else None
