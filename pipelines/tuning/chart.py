"""A study as a picture: how far it has come, and what each setting had to do with it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipelines.settings.schema import Between, Tune
from pipelines.tuning.study import DONE, FAILED, PRUNED, Tried

BLUE, ORANGE, GREY, RED = "#1f6fb4", "#d9730d", "#8a8a8a", "#b3261e"
COLUMNS = 3
TALL = 10  # greatest score over least, from which on a plot is logarithmic
BESIDE = 0.12  # how far equal choices are strewn, of the way to the next one


def png(trials: Sequence[Tried], tune: Tune, lower: bool) -> bytes:
    """The course of the study above, and below it the score over each setting that was tried. One trial is done at least."""
    from matplotlib.figure import Figure

    rows = math.ceil(len(tune.space) / COLUMNS)
    figure = Figure(figsize=(11, 3.6 + 3.1 * rows), layout="constrained")
    grid = figure.add_gridspec(1 + rows, COLUMNS)
    course = figure.add_subplot(grid[0, :])
    history(course, trials, tune, lower)
    scores = [score for trial in trials if (score := last(trial)) is not None]
    tall = bool(scores) and min(scores) > 0 and max(scores) > TALL * min(scores)
    axes = [course]
    for number, key in enumerate(tune.space):
        axes.append(figure.add_subplot(grid[1 + number // COLUMNS, number % COLUMNS]))
        over(axes[-1], trials, key, tune)
    for one in axes:
        one.set_yscale("log" if tall else "linear")
        one.grid(alpha=0.3)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def history(axes: Any, trials: Sequence[Tried], tune: Tune, lower: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    marked(axes, [(trial.number, trial) for trial in trials])
    for failed in (trial for trial in trials if trial.state == FAILED):
        axes.plot(failed.number, 0.03, "x", color=RED, transform=axes.get_xaxis_transform(), label="failed")
    done = [(trial.number, trial.value) for trial in trials if trial.value is not None]
    so_far = (np.minimum if lower else np.maximum).accumulate([value for _, value in done])
    numbers = [*(number for number, _ in done), max(trial.number for trial in trials)]
    axes.step(numbers, [*so_far, *so_far[-1:]], where="post", color=BLUE, label="best so far")
    axes.set_title(f"{tune.metric} of the trials, {'lower' if lower else 'higher'} is better")
    axes.set_xlabel("trial; the first is as params.yaml has it")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    names = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))  # each once
    axes.legend(names.values(), names.keys())


def over(axes: Any, trials: Sequence[Tried], key: str, tune: Tune) -> None:
    entry = tune.space[key]
    if isinstance(entry, Between):
        marked(axes, [(trial.values[key], trial) for trial in trials if key in trial.values])
        axes.set_xscale("log" if entry.log else "linear")
    else:
        places = {repr(choice): place for place, choice in enumerate(entry)}
        strewn = [(-BESIDE, 0.0, BESIDE)[trial.number % 3] for trial in trials]
        known = [(trial, aside) for trial, aside in zip(trials, strewn, strict=True) if key in trial.values]
        marked(axes, [(places[repr(trial.values[key])] + aside, trial) for trial, aside in known])
        axes.set_xticks(range(len(entry)), [str(choice) for choice in entry])
        axes.set_xlim(-0.5, len(entry) - 0.5)
    axes.set_title(key)


def marked(axes: Any, points: Sequence[tuple[float, Tried]]) -> None:
    """A dot for each trial that is done, and one in grey at the last look for each that was stopped."""
    for state, colour, marker, label in ((PRUNED, GREY, "v", "stopped half-way"), (DONE, ORANGE, "o", "done")):
        there = [(place, last(trial)) for place, trial in points if trial.state == state]
        if there:
            axes.plot(*zip(*there, strict=True), marker, color=colour, label=label)


def last(trial: Tried) -> float | None:
    """What is known of its score."""
    if trial.value is not None:
        return trial.value
    return trial.looks[max(trial.looks)] if trial.state == PRUNED and trial.looks else None
