"""Prefect tasks: one for each DVC stage, with time limit and retries."""

from __future__ import annotations

from typing import Any, TypeVar

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.settings.schema import FlowParams
from workspace import dvc
from workspace.processes import ProgramError
from workspace.stages import repro

T = TypeVar("T")

# A second try can help where the network or the machine failed (ingest, register and fold use remote data or models) and where
# work goes on from a checkpoint (train, noise). The others would fail in the same way.
RETRIED = ("fold", "ingest", "train", "register", "noise")


def run_stage(project: Project, name: str, limits: FlowParams, force: bool = False) -> None:
    """Run the stage with `dvc repro --single-item`, as a task of the flow that calls this."""
    run_limited(reproduce, short_name(name), limits, project, name, force)


def short_name(name: str) -> str:
    """DVC calls a stage of another file than dvc.yaml FILE:NAME."""
    return name.rpartition(":")[2]


def run_limited(work: Task[..., T], name: str, limits: FlowParams, *arguments: Any) -> T:
    """Run the task under that name, for a limited time, and again where that can help; returns its result."""
    named = work.with_options(
        name=name,
        task_run_name=name,
        retries=limits.retries if name in RETRIED else 0,
        retry_condition_fn=is_retryable,
        timeout_seconds=limits.time_limit_minutes * 60,
    )
    try:
        return named(*arguments)  # called, not submitted, because only then does the time limit interrupt it
    except TimeoutError:
        raise GenloopError(
            f"{name}: stopped at the limit of {limits.time_limit_minutes} minutes; "
            "to give it longer: genloop run --set flow.time_limit_minutes=N"
        ) from None


def is_retryable(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, ProgramError) and state.data.exit_code != InputError.exit_code


# No cache of Prefect's, because DVC already knows what is done.
@task(cache_policy=NO_CACHE, persist_result=False)
def reproduce(project: Project, name: str, force: bool) -> None:
    log = log_start(short_name(name))
    repro(project, name, force, log)
    dvc.check_cache(project, name)


def log_start(name: str) -> Any:
    """Print and log that the task begins; returns the function that writes into its log."""
    log = get_run_logger().info
    title = f"── {name}" + (", another try" if (task_run.run_count or 1) > 1 else "")
    say(title)
    log(title)
    return log
