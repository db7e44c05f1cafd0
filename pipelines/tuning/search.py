"""The search: trials, one after the other, until the study has as many as wanted.

It writes the study's database, the trials in MLflow, and at the end the best settings and a plot. What stages make stays as it
is.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from pipelines.core import backend, files
from pipelines.core.errors import GenloopError
from pipelines.core.numbers import three_digits
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.scoring import readings
from pipelines.settings.schema import Params
from pipelines.training import dataset
from pipelines.tuning import chart, cross_validation, space
from pipelines.tuning.cross_validation import CvFold
from pipelines.tuning.records import StudyRecords
from pipelines.tuning.study import FAILED, Study, StudyError, TrialRecord, heartbeat, rank

if TYPE_CHECKING:
    import optuna

    from pipelines.tuning.trial import Experiment

# Gets a trial that has ended, the number of trials by then, and the number wanted.
OnTrial = Callable[[TrialRecord, int, int], None]


class PrunedError(Exception):
    """The trial is not worth finishing."""


@dataclass(frozen=True)
class SearchResult:
    """trials: all of the study. best: those that are done, the best first. overlay, plot: files, written if any is done."""

    study: str
    metric: str
    lower: bool
    trials: list[TrialRecord]
    best: list[TrialRecord]
    overlay: Path
    plot: Path


def run(project: Project, params: Params, registry: Registry, more: int | None, out: Path, on_trial: OnTrial) -> SearchResult:
    """The study of these settings and this data, with `tune.trials` trials, or `more` than it has.

    Args:
        out: file of the best settings; the plot lies beside it.

    Raises:
        InputError: the space or the data are unusable; no trial was begun.
        GenloopError: all trials failed, or a database does not answer.
    """
    space.check(params)
    cv_folds = cross_validation.read(project, params)
    study = Study(project, params, cv_folds, dataset.content(project))
    count = study.count()
    target = params.tune.trials if more is None else count + more
    records = None
    try:
        if count < target:
            say(f"tune: {study.name} has {count} of {target} trials")
            records = StudyRecords(params, registry, study.name)
            run_trials(study, cv_folds, target, records, on_trial)
    finally:  # a study that is stopped has its best settings, too
        result = write_result(study, out)
    if not result.best:
        failed = [trial for trial in result.trials if trial.state == FAILED]
        last = f"; the last one: {failed[-1].reason}" if failed else ""
        raise GenloopError(f"none of {study.count()} trials came to an end{last}. Set another tune.space, or more tune.steps")
    if records is not None:
        records.close(result.best[0], study.count(), [result.overlay, result.plot])
    return result


def run_trials(study: Study, cv_folds: list[CvFold], target: int, records: StudyRecords, on_trial: OnTrial) -> None:
    backend.load(study.params.train.deterministic)
    from pipelines.tuning.trial import Experiment

    experiment = Experiment(study.project, study.params, cv_folds)
    while True:
        claim = study.ask(target)
        for number in claim.torn:
            say(f"tune: trial {number} was cut off; its settings are tried again")
            records.end(study.trial(number))
        trial = claim.trial
        if trial is None:
            return
        try:
            records.start(trial.number, trial.params)
            with heartbeat(trial):
                run_trial(study, trial, experiment, f"trial {trial.number}")
        except BaseException:
            study.tear(trial)
            records.end(study.trial(trial.number))
            raise
        record = study.trial(trial.number)
        records.end(record)
        on_trial(record, study.count(), target)


def run_trial(study: Study, optuna_trial: optuna.Trial, experiment: Experiment, name: str) -> None:
    """One trial. An error that its settings lead to ends this trial alone; one that would end any other as well is raised.

    Raises:
        UnmeasurableError, StudyError, OSError: not because of the settings of this trial.
    """
    from pipelines.tuning import trial

    def report(step: int, score: float) -> None:
        if study.report(optuna_trial, step, score):
            raise PrunedError

    try:
        study.done(optuna_trial, trial.run(experiment, trial_params(experiment.params, optuna_trial.params), name, report))
    except PrunedError:
        study.pruned(optuna_trial)
    except (trial.UnmeasurableError, StudyError, OSError):
        raise
    except Exception as error:  # of many kinds: no memory on the device, sizes that do not fit
        study.failed(optuna_trial, reason(error))


def trial_params(params: Params, values: dict[str, object]) -> Params:
    """The params of a trial: four previews in its short training, after which it is scored."""
    steps = params.tune.steps
    fixed = {"init": "scratch", "steps": steps, "seed": params.tune.seed, "preview_every": -(-steps // 4)}
    return space.with_values(params, {**{f"train.{key}": value for key, value in fixed.items()}, **values})


def reason(error: Exception) -> str:
    words = (str(error).strip().splitlines() or [""])[0][:300]
    return words if isinstance(error, GenloopError) else f"{type(error).__name__}: {words}"


def write_result(study: Study, out: Path) -> SearchResult:
    trials, metric, lower = study.trials(), study.tune.metric, study.lower
    result = SearchResult(study.name, metric, lower, trials, rank(trials, lower), out, out.with_suffix(".png"))
    if result.best:
        files.write(result.overlay, overlay(result))
        files.write(result.plot, chart.png(trials, study.tune, lower))
    return result


def overlay(result: SearchResult) -> str:
    best, text = result.best[0], io.StringIO()
    assert best.value is not None  # of a trial that is done
    title = f"number {best.number}, {readings.unbiased_key(result.metric)} {three_digits(best.value)}"
    text.write(f"# The best of {len(result.best)} trials of {result.study}: {title}.\n")
    text.write("# It was trained for tune.steps and scored against training rows left out: docs/tuning.md.\n\n")
    YAML().dump(space.overlay(best.values), text)
    return text.getvalue()
