"""Flow runs from beginning to end: each has the project for itself, and cleans up after runs that were killed.

Prefect knows the last state that a run sent: one that was killed stays Running, and schedules go on while nothing serves
them. So each run holds the lock of a file with its id, which the system releases when the process dies.
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from filelock import FileLock, Timeout
from prefect import get_client, get_run_logger
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment, flow_run
from prefect.states import Crashed

from operations import further_training
from pipelines.core import timestamps
from pipelines.core.processes import die_with_parent
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from workspace import locks

SERVED_BY = "GENLOOP_SERVED_BY"  # id of the process that serves schedules, in the environment of its runs
UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


@contextmanager
def exclusive_run(folder: str | None) -> Iterator[tuple[Project, Params, Registry]]:
    """The context of a flow: waits until no other run goes on in this project. folder: the flow's parameter `project`."""
    project = Project.find(Path(folder) if folder else None)
    server = project.environment.get(SERVED_BY)
    if server:
        die_with_parent(int(server))
        announce(f"{flow_run.flow_name}: begins")
    try:
        with hold_run_file(project), locks.run_lock(project, wait=announce):
            mark_crashed(project)
            if deployment.id:
                drop_missed([UUID(deployment.id)])
            further_training.restore(project)  # of a run that was killed
            params = load_params(project.params_file)
            yield project, params, Registry.open(project, params.registry)
    except Exception as error:
        if server:  # otherwise the terminal of the schedules would not show it
            announce(f"{flow_run.flow_name}: {project.shorten(str(error))}")
        raise
    if server:
        announce(f"{flow_run.flow_name}: done")


def announce(message: str) -> None:
    """Print a message for the user, and log it on the run's page."""
    say(f"══ {timestamps.seconds(timestamps.now())} UTC  {message}")
    get_run_logger().info(message)


def deployment_name(project: Project) -> str:
    """A name that no other project has, on this machine or another: they may share a Prefect server, or its database."""
    place = f"{socket.gethostname()}:{project.root}"
    return f"{re.sub('[^A-Za-z0-9_-]', '-', project.root.name)}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def run_files(project: Project) -> Path:
    """The folder with a file for each run that is going on or was killed."""
    folder = project.logs / "flow-runs"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def hold_run_file(project: Project) -> Iterator[None]:
    place = run_files(project) / str(flow_run.id)
    with FileLock(place):
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def mark_crashed(project: Project, served: Iterable[UUID] = ()) -> int:
    """Mark runs whose process died as Crashed; returns how many. served: deployments that only this process runs."""
    crashed = 0
    folder = run_files(project)
    with get_client(sync_client=True) as client:
        for place in sorted(folder.iterdir()):
            try:
                with FileLock(place, timeout=0):
                    crashed += mark_run_crashed(client, UUID(place.name))
                    place.unlink(missing_ok=True)
            except Timeout:  # it goes on
                continue
        for run in find_runs(client, served, UNFINISHED):
            if not (folder / str(run.id)).exists():
                crashed += mark_run_crashed(client, run.id)
    return crashed


def mark_run_crashed(client: SyncPrefectClient, run: UUID) -> bool:
    """Mark a run as Crashed if Prefect takes it for unfinished; returns whether it did."""
    try:
        state = client.read_flow_run(run).state
    except ObjectNotFound:  # it belongs to another server
        return False
    if state is None or state.type not in UNFINISHED:
        return False
    client.set_flow_run_state(run, Crashed(message="its process was killed"), force=True)
    return True


def drop_missed(deployments: Iterable[UUID]) -> int:
    """Delete scheduled runs whose time has passed, because each would repeat the first; returns how many."""
    deployments, dropped = list(deployments), 0
    with get_client(sync_client=True) as client:
        while missed := [
            run for run in find_runs(client, deployments, [StateType.SCHEDULED], timestamps.now()) if run.auto_scheduled
        ]:
            for run in missed:
                client.delete_flow_run(run.id)
            dropped += len(missed)
    return dropped


def find_runs(
    client: SyncPrefectClient, deployments: Iterable[UUID], states: Iterable[StateType], until: datetime | None = None
) -> list[FlowRun]:
    """Runs of these deployments that are in these states, if `until` is given only those due before it; at most 200."""
    deployments = list(deployments)
    if not deployments:
        return []
    wanted: dict[str, Any] = {"deployment_id": {"any_": deployments}, "state": {"type": {"any_": list(states)}}}
    if until:
        wanted["expected_start_time"] = {"before_": until}
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted))
