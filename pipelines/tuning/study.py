"""The study: which trials there were, kept in a database, so that whoever comes next goes on where the last one stopped.

Several processes may work at one study. Who asks for a trial holds a lock meanwhile, and a trial says who is at it: one whose
process has gone was torn off, and its settings are tried again.
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
from pathlib import Path
from typing import Any

import optuna
import psutil
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState

from pipelines import catalogue
from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.feedback.store import database
from pipelines.settings.schema import Params
from pipelines.tuning import space
from pipelines.tuning.cross_validation import Part

FILE = Path("data/tune.db")  # in the project's root; in a PostgreSQL that GENLOOP_DATABASE_URL names, a schema of its own
SCHEMA = "genloop_tune"
LOCK = paths.LOGS / "tune.lock"
BEAT, SILENCE = 20.0, 300.0  # seconds between two signs of life, and after which a trial on another machine counts as torn off
REASON, WORKER, SEEN = "reason", "worker", "seen"  # attributes of a trial
DONE, PRUNED, FAILED, TORN, RUNNING = "done", "pruned", "failed", "torn", "running"


class StudyError(GenloopError):
    """The database of the study does not answer."""


@dataclass(frozen=True)
class Tried:
    """A trial as it is known now.

    state: done, pruned, failed (for a `reason`), torn (its process was stopped; others do it again), running.
    value: None but for done ones. looks: step -> score on fewer images.
    """

    number: int
    state: str
    value: float | None
    values: dict[str, Any]
    looks: dict[int, float]
    seconds: float | None
    reason: str | None

    @property
    def counts(self) -> bool:
        return self.state != TORN


class Study:
    def __init__(self, params: Params, parts: Sequence[Part], content: Sequence[str]) -> None:
        """content: hashes of the training rows.

        Raises:
            StudyError: its database does not answer.
        """
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.params, self.tune = params, params.tune
        self.name = name(params, parts, content)
        self.torn: list[int] = []  # trials that were marked so here
        self.direction = {"lower": "minimize", "higher": "maximize"}[catalogue.SCORES[params.tune.metric]]
        with locked(), asking():
            self.study = optuna.create_study(
                storage=storage(),
                study_name=self.name,
                direction=self.direction,
                pruner=pruner(params),
                load_if_exists=True,
            )
            if not self.study.get_trials(deepcopy=False):  # the first one: what there is without any tuning
                self.study.enqueue_trial(space.now(params))

    def trials(self) -> list[Tried]:
        with asking():
            found = self.study.get_trials(deepcopy=False)
        return [tried(trial) for trial in found if trial.state != TrialState.WAITING]

    def trial(self, number: int) -> Tried:
        return next(trial for trial in self.trials() if trial.number == number)

    @property
    def lower(self) -> bool:
        return self.direction == "minimize"

    def ask(self, wanted: int) -> optuna.Trial | None:
        """The next trial, for this process; None where there are as many as wanted."""
        with locked(), asking():
            self.reap()
            if sum(one.counts for one in self.trials()) >= wanted:
                return None
            # By the number of trials: a sampler that went on from the seed would begin anew with each process.
            self.study.sampler = sampler(self.params, len(self.study.get_trials(deepcopy=False)))
            trial = self.study.ask(space.distributions(self.params))
            trial.set_user_attr(WORKER, asdict(Worker.this()))
            return trial

    def reap(self) -> None:
        """Mark the trials whose process has gone, and let them be done again."""
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if gone(trial):
                self.tear(trial)
                self.torn.append(trial.number)

    def tear(self, trial: optuna.Trial | FrozenTrial) -> None:
        """A trial that nobody finishes, unless it has ended: failed, without a reason of its own, and put in line again."""
        with locked(), asking():
            if self.trial(trial.number).state != RUNNING:
                return
            self.study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)
            if trial.params.keys() == self.tune.space.keys():
                self.study.enqueue_trial(trial.params)

    def look(self, trial: optuna.Trial, step: int, score: float) -> bool:
        """Whether the trial is worse by then than others were, and not worth finishing."""
        with asking():
            trial.report(score, step)
            hopeless = trial.should_prune()
            return hopeless and sum(one.state == DONE for one in self.trials()) >= self.tune.startup

    def done(self, trial: optuna.Trial, value: float) -> None:
        with asking():
            self.study.tell(trial, value, skip_if_finished=True)

    def pruned(self, trial: optuna.Trial) -> None:
        with asking():
            self.study.tell(trial, state=TrialState.PRUNED, skip_if_finished=True)

    def failed(self, trial: optuna.Trial, reason: str) -> None:
        with asking():
            trial.set_user_attr(REASON, reason)
            self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)


def ranked(trials: Sequence[Tried], lower: bool) -> list[Tried]:
    """Those that are done, the best first."""
    found = [(trial.value if lower else -trial.value, trial.number, trial) for trial in trials if trial.value is not None]
    return [trial for _, _, trial in sorted(found)]


def name(params: Params, parts: Sequence[Part], content: Sequence[str]) -> str:
    """Of all that a trial's score follows from but code: other data or another space begin another study.

    What the space names is whatever a trial makes it, so `genloop run` with the best settings leaves the study as it is.
    """
    apart = {"init", "steps", "seed", "preview_every", "max_memory_share"}
    fixed = {"model": params.model.model_dump(mode="json"), "train": params.train.model_dump(mode="json", exclude=apart)}
    for key in params.tune.space:
        *parents, last = key.split(".")
        node: Any = fixed
        for parent in parents:
            node = node[parent]
        node.pop(last, None)
    made_of = {
        **fixed,
        "content": list(content),
        "benchmarks": [part.benchmark.id for part in parts],
        "tune": params.tune.model_dump(mode="json", exclude={"trials", "pruner", "startup"}),
        "image": params.image.model_dump(mode="json"),
        "evaluate": params.evaluate.seed,
    }
    return f"tune-{hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:12]}"


def tried(trial: FrozenTrial) -> Tried:
    reason = trial.user_attrs.get(REASON)
    state = {
        TrialState.COMPLETE: DONE,
        TrialState.PRUNED: PRUNED,
        TrialState.RUNNING: RUNNING,
        TrialState.FAIL: FAILED if reason else TORN,
    }[trial.state]
    seconds = trial.duration.total_seconds() if trial.duration else None
    value = trial.value if state == DONE else None
    return Tried(trial.number, state, value, dict(trial.params), dict(trial.intermediate_values), seconds, reason)


def sampler(params: Params, number: int) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # constant_liar: trials that others are at count as bad, so that nobody tries the same next to them.
        seed = (params.tune.seed * 1_000_003 + number) % 2**32
        return optuna.samplers.TPESampler(n_startup_trials=params.tune.startup, seed=seed, constant_liar=True)


def pruner(params: Params) -> optuna.pruners.BasePruner:
    """median: what is worse than half of the trials were at that step (Golovin et al., 2017).

    halving: what is not among the better half at each look, each a doubling (Jamieson & Talwalkar, 2016; Li et al., 2020).
    """
    match params.tune.pruner:
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=params.tune.startup)
        case "halving":
            return optuna.pruners.SuccessiveHalvingPruner(min_resource=max(1, params.tune.steps // 4), reduction_factor=2)
    return optuna.pruners.NopPruner()


def storage() -> optuna.storages.RDBStorage:
    shared = database.schema(SCHEMA)
    if shared is not None:
        return optuna.storages.RDBStorage(shared)
    file = paths.root() / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    return optuna.storages.RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": database.WAIT}})


@contextmanager
def locked() -> Iterator[None]:
    """One process at a time on this machine, which may make the tables as well."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(LOCK.resolve(), is_singleton=True):
        yield


@contextmanager
def asking() -> Iterator[None]:
    """What Optuna and the database raise, in words."""
    try:
        with database.asking(database.address(), FILE):
            yield
    except StudyError:
        raise
    except GenloopError as error:
        raise StudyError(str(error)) from None
    except optuna.exceptions.StorageInternalError as error:
        raise StudyError(f"the study's database does not answer as it should: {error.__cause__ or error}") from None


@dataclass(frozen=True)
class Worker:
    """A process: its number may be given to another one after it, but not with the same time of birth."""

    host: str
    process: int
    born: float

    @classmethod
    def this(cls) -> Worker:
        return cls(socket.gethostname(), os.getpid(), psutil.Process().create_time())

    def lives(self) -> bool:
        try:
            return abs(psutil.Process(self.process).create_time() - self.born) < 1
        except psutil.NoSuchProcess:
            return False


def gone(trial: FrozenTrial) -> bool:
    """Whether nobody is at the trial any more."""
    about = trial.user_attrs.get(WORKER)
    if about and about["host"] == socket.gethostname():
        return not Worker(**about).lives()
    if about is None and database.address().drivername == "sqlite":
        return True  # killed before it could say who it is; nobody else is asking now, for we hold the lock
    assert trial.datetime_start is not None
    return time.time() - trial.user_attrs.get(SEEN, trial.datetime_start.timestamp()) > SILENCE


@contextmanager
def beating(trial: optuna.Trial) -> Iterator[None]:
    """Signs of life while the trial lasts, for those on other machines."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT):
            try:
                trial.set_user_attr(SEEN, time.time())
            except Exception:  # who trains will meet the same, and say it
                return

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
