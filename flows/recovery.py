"""Runs whose process was killed: they are found, marked as Crashed, and run again without a person.

Prefect knows the last state that a run sent, so one that was killed stays Running. Who finds it out:

- the process that started it, by the exit code, within seconds: Prefect's runner (`python -m flows.schedules`) and its process
  worker call the hook `rerun_crashed_run`;
- the schedules, when they start again, of all runs that only they start;
- each run when it begins, of runs on the same machine: these held the lock of a file that the system has released;
- Prefect's server, by heartbeats that stay away: `python -m flows.automations`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from filelock import FileLock, Timeout
from prefect import Flow, get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import ObjectNotFound
from prefect.states import Crashed

from flows import notices
from pipelines.core import timestamps
from pipelines.core.errors import GenloopError
from pipelines.core.progress import say
from pipelines.core.project import Project

FLOWS = ("retrain", "feedback", "promote")  # all that a project has
UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
FINISHED = [StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED]
MAX_RERUNS = 3  # in a row: a run that kills its machine would do so for ever


def run_files(project: Project) -> Path:
    """The folder with a file for each run that is going on or was killed."""
    folder = project.logs / "flow-runs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def mark_crashed(project: Project, served: Iterable[UUID] = (), own: UUID | None = None) -> int:
    """Mark runs whose process died as Crashed; returns how many.

    served: deployments whose runs are all on this machine. own: the run that asks.
    """
    crashed = 0
    folder = run_files(project)
    with get_client(sync_client=True) as client:
        for place in sorted(folder.iterdir()):
            try:
                with FileLock(place, timeout=0):
                    crashed += mark_run_crashed(project, client, UUID(place.name))
                    place.unlink(missing_ok=True)
            except Timeout:  # it goes on
                continue
        for run in find_runs(client, served, UNFINISHED):
            if run.id != own and not (folder / str(run.id)).exists():
                crashed += mark_run_crashed(project, client, run.id)
    return crashed


def mark_run_crashed(project: Project, client: SyncPrefectClient, run: UUID) -> bool:
    """Mark a run as Crashed if Prefect takes it for unfinished; returns whether it did."""
    try:
        found = client.read_flow_run(run)
    except ObjectNotFound:  # it belongs to another server
        return False
    if found.state is None or found.state.type not in UNFINISHED:
        return False
    message = "its process was killed"
    client.set_flow_run_state(run, Crashed(message=message), force=True)
    notices.crashed(project, client.read_flow(found.flow_id).name, found, message)
    return True


def rerun(client: SyncPrefectClient, deployments: Iterable[UUID]) -> list[FlowRun]:
    """Where the last run of a deployment was killed, start another one with its parameters; returns those.

    Who asks twice gets the same run. After MAX_RERUNS in a row only the schedule goes on.
    """
    started = []
    for deployment in deployments:
        if find_runs(client, [deployment], UNFINISHED) or is_awaited(client, deployment):
            continue  # what is stale is done by that one
        crashed = last_crashed(client, deployment)
        if not crashed:
            continue
        if len(crashed) > MAX_RERUNS:
            say(f"{crashed[0].name}: {len(crashed)} runs in a row were killed; it is not run again before its next time")
            continue
        last = crashed[0]
        started.append(
            client.create_flow_run_from_deployment(
                deployment, parameters=last.parameters, idempotency_key=f"rerun-{last.id}", tags=["rerun"]
            )
        )
        say(f"{last.name} was killed, and is run again as {started[-1].name}")
    return started


def is_awaited(client: SyncPrefectClient, deployment: UUID) -> bool:
    """Whether a run waits to be started now; those of the schedule that are to come do not count."""
    waiting = find_runs(client, [deployment], [StateType.SCHEDULED], timestamps.now())
    return any(not run.auto_scheduled for run in waiting)


def last_crashed(client: SyncPrefectClient, deployment: UUID) -> list[FlowRun]:
    """The last runs of a deployment, newest first, as far as they were killed one after the other."""
    runs = client.read_flow_runs(
        flow_run_filter=run_filter([deployment], FINISHED), sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=MAX_RERUNS + 1
    )
    crashed = []
    for run in runs:
        if run.state_type != StateType.CRASHED:
            break
        crashed.append(run)
    return crashed


def check_reruns(client: SyncPrefectClient, run: UUID, deployment: UUID) -> None:
    """Raise GenloopError where an automation of the server's starts a run again and again that is killed each time."""
    created = client.read_flow_run(run).created_by
    if created and created.type == "AUTOMATION" and len(last_crashed(client, deployment)) > MAX_RERUNS:
        raise GenloopError(
            f"the last {MAX_RERUNS + 1} runs were killed; it is not run again before its next time. The machine's log may say "
            "by whom, most often because memory was full"
        )


def rerun_crashed_run(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Prefect's hook, called by what started the run, or by the run itself where it is asked to end."""
    if flow_run.deployment_id is None:  # a person runs it by hand, and sees what has become of it
        return
    folder = flow_run.parameters.get("project")
    project = Project.find(Path(folder) if folder else None)
    notices.crashed(project, flow.name, flow_run, state.message or "its process ended")
    try:
        with get_client(sync_client=True) as client:
            rerun(client, [flow_run.deployment_id])
    except httpx.HTTPError as error:  # the next one that begins finds it
        say(f"{flow.name}: not run again yet, because Prefect's server does not answer ({error})")


def siblings(client: SyncPrefectClient, deployment: UUID) -> list[UUID]:
    """The deployments of a project's flows: they have one name."""
    name = client.read_deployment(deployment).name
    return [found for flow in FLOWS if (found := find_deployment(client, flow, name)) is not None]


def find_deployment(client: SyncPrefectClient, flow: str, name: str) -> UUID | None:
    try:
        return client.read_deployment_by_name(f"{flow}/{name}").id
    except ObjectNotFound:
        return None


def find_runs(
    client: SyncPrefectClient, deployments: Iterable[UUID], states: Iterable[StateType], until: datetime | None = None
) -> list[FlowRun]:
    """Runs of these deployments that are in these states, if `until` is given only those due before it; at most 200."""
    deployments = list(deployments)
    if not deployments:
        return []
    return client.read_flow_runs(flow_run_filter=run_filter(deployments, states, until))


def run_filter(deployments: Iterable[UUID], states: Iterable[StateType], until: datetime | None = None) -> FlowRunFilter:
    wanted: dict[str, Any] = {"deployment_id": {"any_": list(deployments)}, "state": {"type": {"any_": list(states)}}}
    if until:
        wanted["expected_start_time"] = {"before_": until}
    return FlowRunFilter.model_validate(wanted)
