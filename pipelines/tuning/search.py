"""Trials, one after the other, until the study has as many as were asked for.

What is written: the study's database, the trials in MLflow, and at the end the best settings and a plot. Nothing that a stage
makes is touched.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from pipelines.core import backend, files
from pipelines.core.errors import GenloopError
from pipelines.settings.schema import Params
from pipelines.training import dataset
from pipelines.tuning import chart, cross_validation, space
from pipelines.tuning.cross_validation import Part
from pipelines.tuning.records import Records
from pipelines.tuning.study import FAILED, Study, StudyError, Tried, beating, ranked

if TYPE_CHECKING:
    import optuna

    from pipelines.tuning.trial import Bench

# Told of a trial that has ended, of how many there are by then, and of how many there shall be.
Told = Callable[[Tried, int, int], None]


class HopelessError(Exception):
    """The trial is not worth finishing."""


@dataclass(frozen=True)
class Found:
    """trials: all of the study. best: those that are done, the best first. overlay, plot: files, there if any is done."""

    study: str
    metric: str
    lower: bool
    trials: list[Tried]
    best: list[Tried]
    overlay: Path
    plot: Path


def run(params: Params, more: int | None, out: Path, told: Told = lambda *_: None) -> Found:
    """The study of these settings and this data, with `tune.trials` trials, or `more` than it has.

    Args:
        out: file of the best settings; the plot lies beside it.

    Raises:
        InputError: the space or the data are unusable; no trial was begun.
        GenloopError: all trials failed, or a database does not answer.
    """
    space.check(params)
    held_out = cross_validation.read(params)
    study = Study(params, held_out, dataset.content())
    have = counted(study)
    wanted = params.tune.trials if more is None else have + more
    records = None
    try:
        if have < wanted:
            print(f"tune: {study.name} has {have} of {wanted} trials", file=sys.stderr, flush=True)
            records = Records(params, study.name)
            work(study, params, held_out, wanted, records, told)
    finally:  # also of what there is until somebody stops it
        found = written(study, out)
    if not found.best:
        failed = [trial for trial in found.trials if trial.state == FAILED]
        last = f"; the last one: {failed[-1].reason}" if failed else ""
        raise GenloopError(f"none of {counted(study)} trials came to an end{last}. Set another tune.space, or more tune.steps")
    if records is not None:
        records.close(found.best[0], counted(study), [found.overlay, found.plot])
    return found


def work(study: Study, params: Params, held_out: list[Part], wanted: int, records: Records, told: Told) -> None:
    backend.load(params.train.deterministic)
    from pipelines.tuning.trial import Bench

    bench = Bench(params, held_out)
    while (asked := study.ask(wanted)) is not None:
        try:
            while study.torn:
                cut_off = study.trial(study.torn.pop())
                print(f"tune: trial {cut_off.number} was cut off; its settings are tried again", file=sys.stderr, flush=True)
                records.end(cut_off)
            records.start(asked.number, asked.params)
            with beating(asked):
                attempt(study, asked, bench, f"trial {asked.number}")
        except BaseException:
            study.tear(asked)
            records.end(study.trial(asked.number))
            raise
        one = study.trial(asked.number)
        records.end(one)
        told(one, counted(study), wanted)


def attempt(study: Study, asked: optuna.Trial, bench: Bench, name: str) -> None:
    """One trial. What its settings lead to ends the trial alone; what would end any other one as well is raised.

    Raises:
        UnmeasurableError, StudyError, OSError: not for the settings of this trial.
    """
    from pipelines.tuning import trial

    def look(step: int, score: float) -> None:
        if study.look(asked, step, score):
            raise HopelessError

    try:
        study.done(asked, trial.run(bench, with_values(bench.params, asked.params), name, look))
    except HopelessError:
        study.pruned(asked)
    except (trial.UnmeasurableError, StudyError, OSError):
        raise
    except Exception as error:  # of many kinds: no memory on the device, sizes that do not fit
        study.failed(asked, reason(error))


def with_values(params: Params, values: dict[str, object]) -> Params:
    steps = params.tune.steps
    fixed = {"init": "scratch", "steps": steps, "seed": params.tune.seed, "preview_every": -(-steps // 4)}
    return space.laid(params, {**{f"train.{key}": value for key, value in fixed.items()}, **values})


def reason(error: Exception) -> str:
    words = (str(error).strip().splitlines() or [""])[0][:300]
    return words if isinstance(error, GenloopError) else f"{type(error).__name__}: {words}"


def counted(study: Study) -> int:
    return sum(trial.counts for trial in study.trials())


def written(study: Study, out: Path) -> Found:
    trials = study.trials()
    tune = study.tune
    found = Found(study.name, tune.metric, study.lower, trials, ranked(trials, study.lower), out, out.with_suffix(".png"))
    if found.best:
        files.write(found.overlay, overlay(found))
        files.write(found.plot, chart.png(found.trials, tune, found.lower))
    return found


def overlay(found: Found) -> str:
    best, text = found.best[0], io.StringIO()
    about = f"number {best.number}, {found.metric} {best.value:.4g}"
    text.write(f"# The best of {len(found.best)} trials of {found.study}: {about}.\n")
    text.write("# It was trained for tune.steps and scored against training rows left out: docs/tuning.md.\n\n")
    YAML().dump(space.overlay(best.values), text)
    return text.getvalue()
