"""One DVC stage as one Prefect task."""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import task_run

from flows import graph, terminal
from flows.repro import StageError, repro
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.params import Flow

# A second try can help where the network or the machine failed (ingest reads from far away, register writes there) and
# where work goes on from a checkpoint (train). The others would fail in the same way again.
RETRIED = ("ingest", "train", "register")


def run_stage(name: str, limits: Flow, force: bool = False) -> None:
    """Run the stage with `dvc repro --single-item`, as a task of the flow that calls this.

    Raises:
        StageError: it failed, and so did the tries after it.
        GenloopError: it took longer than the limit, or DVC could not keep its outputs.
    """
    work = reproduce.with_options(
        name=name,
        task_run_name=name,
        retries=limits.retries if name in RETRIED else 0,
        retry_condition_fn=worth_another_try,
        timeout_seconds=limits.time_limit_minutes * 60,
    )
    try:
        work(name, force)  # called, not submitted: only so does the time limit interrupt it
    except TimeoutError:
        raise GenloopError(
            f"{name}: stopped at the limit of {limits.time_limit_minutes} minutes; "
            "to give it longer: genloop run --set flow.time_limit_minutes=N"
        ) from None


def worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, StageError) and state.data.exit_code != InputError.exit_code


# DVC knows what is done; a second cache would surprise.
@task(cache_policy=NO_CACHE, persist_result=False)
def reproduce(name: str, force: bool) -> None:
    log = get_run_logger().info
    title = f"── {name}" + (", another try" if (task_run.run_count or 1) > 1 else "")
    terminal.show(f"{title}\n".encode())
    log(title)
    repro(name, force, log)
    graph.check_cache(name)
