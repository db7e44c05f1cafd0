"""The study: which trials there were, kept in a database, so that the next process goes on where the last one stopped.

Several processes may work at one study. Each holds a lock while it asks for a trial, and names itself there. Where a process is
dead, its trial is torn, and another one gets its settings. Optuna's own heartbeat cannot do this: it works in
`Study.optimize` alone, which would ask without the lock, and finds a killed process only after a grace period.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import optuna
import psutil
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL

from pipelines import catalogue
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.store import database
from pipelines.scoring import readings
from pipelines.settings.schema import Params
from pipelines.tuning import space
from pipelines.tuning.cross_validation import CvFold

FILE = "tune.db"  # in data/; where GENLOOP_DATABASE_URL names a PostgreSQL, the study is in this schema there:
SCHEMA = "genloop_tune"
BEAT, SILENCE = 20.0, 300.0  # seconds between two heartbeats, and without one until a trial on another machine is torn
REASON, WORKER, HEARTBEAT = "reason", "worker", "seen"  # attributes of a trial
DONE, PRUNED, FAILED, TORN, RUNNING = "done", "pruned", "failed", "torn", "running"


class StudyError(GenloopError):
    """The database of the study does not answer."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial as the database has it now.

    state: done, pruned, failed (for a `reason`), torn (its process ended; another trial has its settings), running.
    value: of done trials only. intermediate: step -> score on fewer images.
    """

    number: int
    state: str
    value: float | None
    values: dict[str, Any]
    intermediate: dict[int, float]
    seconds: float | None
    reason: str | None

    @property
    def counts(self) -> bool:
        return self.state != TORN


@dataclass(frozen=True)
class Claim:
    """trial: the next one, for this process; None where there are as many as wanted. torn: trials found to be so now."""

    trial: optuna.Trial | None
    torn: list[int]


class Study:
    def __init__(self, project: Project, params: Params, cv_folds: Sequence[CvFold], content: Sequence[str]) -> None:
        """content: hashes of the training rows.

        Raises:
            StudyError: its database does not answer.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.project, self.params, self.tune = project, params, params.tune
        self.name = name(params, cv_folds, content)
        self.direction = {"lower": "minimize", "higher": "maximize"}[catalogue.scores()[params.tune.metric].better]
        with self.lock(), self.database_errors():
            self.study = optuna.create_study(
                storage=storage(project),
                study_name=self.name,
                direction=self.direction,
                pruner=pruner(params),
                load_if_exists=True,
            )
            if not self.study.get_trials(deepcopy=False):  # the first one: the settings as they are without any tuning
                self.study.enqueue_trial(space.current_values(params))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time on this machine, for the tables are made under it as well."""
        self.project.logs.mkdir(parents=True, exist_ok=True)
        with FileLock(self.project.logs / "tune.lock", is_singleton=True):
            yield

    @contextmanager
    def database_errors(self) -> Iterator[None]:
        """Turn errors of Optuna and of the database into a StudyError."""
        try:
            with database.database_errors(self.address, self.project.relative(self.project.data / FILE)):
                yield
        except StudyError:
            raise
        except GenloopError as error:
            raise StudyError(str(error)) from None
        except optuna.exceptions.StorageInternalError as error:
            raise StudyError(f"the study's database does not answer as it should: {error.__cause__ or error}") from None

    @property
    def address(self) -> URL:
        return database.address(self.project.database_url)

    @property
    def lower(self) -> bool:
        return self.direction == "minimize"

    def trials(self) -> list[TrialRecord]:
        with self.database_errors():
            found = self.study.get_trials(deepcopy=False)
        return [record(trial) for trial in found if trial.state != TrialState.WAITING]

    def trial(self, number: int) -> TrialRecord:
        return next(trial for trial in self.trials() if trial.number == number)

    def count(self) -> int:
        return sum(trial.counts for trial in self.trials())

    def ask(self, target: int) -> Claim:
        """The next trial, until there are `target` trials; trials of dead processes are torn first."""
        with self.lock(), self.database_errors():
            torn = self.tear_abandoned()
            if self.count() >= target:
                return Claim(None, torn)
            # By the number of trials: a sampler that went on from the seed would begin anew with each process.
            self.study.sampler = sampler(self.params, len(self.study.get_trials(deepcopy=False)))
            trial = self.study.ask(space.distributions(self.params))
            trial.set_user_attr(WORKER, asdict(TrialProcess.this()))
            return Claim(trial, torn)

    def tear_abandoned(self) -> list[int]:
        """Tear the trials whose process is dead; their numbers."""
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        torn = [trial for trial in running if self.abandoned(trial)]
        for trial in torn:
            self.tear(trial)
        return [trial.number for trial in torn]

    def abandoned(self, trial: FrozenTrial) -> bool:
        """Whether the trial's process is dead."""
        worker = trial.user_attrs.get(WORKER)
        if worker and worker["host"] == socket.gethostname():
            return not TrialProcess(**worker).is_alive()
        if worker is None and self.address.drivername == "sqlite":
            return True  # killed before it could name itself; no other process is asking now, because we hold the lock
        assert trial.datetime_start is not None
        return time.time() - trial.user_attrs.get(HEARTBEAT, trial.datetime_start.timestamp()) > SILENCE

    def tear(self, trial: optuna.Trial | FrozenTrial) -> None:
        """End a running trial, without a reason, and enqueue its settings again."""
        with self.lock(), self.database_errors():
            if self.trial(trial.number).state != RUNNING:
                return
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            if trial.params.keys() == self.tune.space.keys():
                self.study.enqueue_trial(trial.params)

    def report(self, trial: optuna.Trial, step: int, score: float) -> bool:
        """Keep an intermediate score; whether it is worse than others were at that step, and the trial not worth finishing."""
        with self.database_errors():
            trial.report(score, step)
            return trial.should_prune() and sum(one.state == DONE for one in self.trials()) >= self.tune.startup

    def done(self, trial: optuna.Trial, value: float) -> None:
        with self.database_errors():
            self.study.tell(trial, value, skip_if_finished=True)

    def pruned(self, trial: optuna.Trial) -> None:
        with self.database_errors():
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def failed(self, trial: optuna.Trial, reason: str) -> None:
        with self.database_errors():
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


def rank(trials: Sequence[TrialRecord], lower: bool) -> list[TrialRecord]:
    """Those that are done, the best first."""
    found = [(trial.value if lower else -trial.value, trial.number, trial) for trial in trials if trial.value is not None]
    return [trial for _, _, trial in sorted(found)]


def name(params: Params, cv_folds: Sequence[CvFold], content: Sequence[str]) -> str:
    """A name for all that the score of a trial depends on but code: other data or another space begin another study.

    The values of what the space names do not count, so `genloop run` with the best settings leaves the study as it is.
    """
    other = {"init", "steps", "seed", "preview_every", "max_memory_share"}
    fixed = {"model": params.model.model_dump(mode="json"), "train": params.train.model_dump(mode="json", exclude=other)}
    for key in params.tune.space:
        *parents, last = key.split(".")
        node: Any = fixed
        for parent in parents:
            node = node[parent]
        node.pop(last, None)
    inputs = {
        **fixed,
        "content": list(content),
        "benchmarks": [cv_fold.benchmark.id for cv_fold in cv_folds],
        "tune": params.tune.model_dump(mode="json", exclude={"trials", "pruner", "startup"}),
        "score": readings.unbiased_key(params.tune.metric),  # earlier ones went by the biased value
        "image": params.image.model_dump(mode="json"),
        "evaluate": params.evaluate.seed,
    }
    return f"tune-{hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]}"


def record(trial: FrozenTrial) -> TrialRecord:
    reason = trial.user_attrs.get(REASON)
    state = {
        TrialState.COMPLETE: DONE,
        TrialState.PRUNED: PRUNED,
        TrialState.RUNNING: RUNNING,
        TrialState.FAIL: FAILED if reason else TORN,
    }[trial.state]
    seconds = trial.duration.total_seconds() if trial.duration else None
    value = trial.value if state == DONE else None
    return TrialRecord(trial.number, state, value, dict(trial.params), dict(trial.intermediate_values), seconds, reason)


def sampler(params: Params, number: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # constant_liar: running trials count as bad, so that no other process tries settings next to theirs.
        seed = (params.tune.seed * 1_000_003 + number) % 2**32
        return optuna.samplers.TPESampler(n_startup_trials=params.tune.startup, seed=seed, constant_liar=True)


def pruner(params: Params) -> optuna.pruners.BasePruner:
    """median: stops what is worse than half of the trials were at that step (Golovin et al., 2017).

    halving: stops what is not in the better half at each report, with twice the steps each time (Jamieson & Talwalkar, 2016; Li
    et al., 2020).
    """
    match params.tune.pruner:
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=params.tune.startup)
        case "halving":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=max(1, params.tune.steps // 4), reduction_factor=2)
    return optuna.pruners.NopPruner()


def storage(project: Project) -> optuna.storages.RDBStorage:
    shared = database.schema(project.database_url, SCHEMA)
    if shared is not None:
        return optuna.storages.RDBStorage(shared)
    project.data.mkdir(parents=True, exist_ok=True)
    options = {"connect_args": {"timeout": database.WAIT}}
    return optuna.storages.RDBStorage(f"sqlite:///{project.data / FILE}", engine_kwargs=options)


@dataclass(frozen=True)
class TrialProcess:
    """A process. Another one may get its number after it, but not with the same time of birth."""

    host: str
    process: int
    born: float

    @classmethod
    def this(cls) -> TrialProcess:
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def is_alive(self) -> bool:
        try:
            return abs(psutil.Process(self.process).create_time() - self.born) < 1
        except psutil.NoSuchProcess:
            return False


@contextmanager
def heartbeat(trial: optuna.Trial) -> Iterator[None]:
    """Heartbeats while the trial runs, for processes on other machines."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            try:
                trial.set_user_attr(HEARTBEAT, time.time())
            except Exception:  # the training will meet the same error, and report it
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
