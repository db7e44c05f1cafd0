"""One DVC stage as one Prefect task, and the limits of every task."""

from __future__ import annotations

from typing import Any

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.schema import Flow
from workspace import dvc, terminal
from workspace.processes import ProgramError
from workspace.stages import repro

# A second try can help where the network or the machine failed (ingest reads from far away, register writes there, fold draws
# with what it finds there) and where work goes on from where it was (train, noise). The others would fail in the same way.
RETRIED = ("fold", "ingest", "train", "register", "noise")


def run_stage(name: str, limits: Flow, force: bool = False) -> None:
    """Run the stage with `dvc repro --single-item`, as a task of the flow that calls this.

    Args:
        name: as DVC calls it; a stage of another file than dvc.yaml is FILE:NAME, and shown as NAME.

    Raises:
        StageError: it failed, and so did the tries after it.
        GenloopError: it took longer than the limit, or DVC could not keep its outputs.
    """
    limited(reproduce, shown(name), limits, name, force)


def shown(name: str) -> str:
    return name.rpartition(":")[2]


def limited(work: Task[..., None], name: str, limits: Flow, *arguments: Any) -> None:
    """Run the task under that name, for a limited time, and again where that can help."""
    named = work.with_options(
        name=name,
        task_run_name=name,
        retries=limits.retries if name in RETRIED else 0,
        retry_condition_fn=worth_another_try,
        timeout_seconds=limits.time_limit_minutes * 60,
    )
    try:
        named(*arguments)  # called, not submitted: only so does the time limit interrupt it
    except TimeoutError:
        raise GenloopError(
            f"{name}: stopped at the limit of {limits.time_limit_minutes} minutes; "
            "to give it longer: genloop run --set flow.time_limit_minutes=N"
        ) from None


def worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, ProgramError) and state.data.exit_code != InputError.exit_code


# DVC knows what is done; a second cache would surprise.
@task(cache_policy=NO_CACHE, persist_result=False)
def reproduce(name: str, force: bool) -> None:
    log = begin(shown(name))
    repro(name, force, log)
    dvc.check_cache(name)


def begin(name: str) -> Any:
    """Say that the task begins, to the user and to its log; what writes into that log."""
    log = get_run_logger().info
    title = f"── {name}" + (", another try" if (task_run.run_count or 1) > 1 else "")
    terminal.show(f"{title}\n".encode())
    log(title)
    return log
