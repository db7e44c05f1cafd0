"""Flow runs from beginning to end: each has the project for itself, and cleans up after runs that were killed.

Each run holds the lock of a file with its id, which the system releases when the process dies (flows/recovery.py).
"""

from __future__ import annotations

import hashlib
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from filelock import FileLock
from prefect import get_client, get_run_logger
from prefect.client.schemas.objects import StateType
from prefect.runtime import deployment, flow_run

from flows import notices, project_slot, recovery
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
            clean_up(project, served=bool(server))
            further_training.restore(project)  # of a run that was killed
            params = load_params(project.params_file)
            with project_slot.hold(project, params, announce):
                yield project, params, Registry.open(project, params.registry)
    except Exception as error:
        if server:  # otherwise the terminal of the schedules would not show it
            announce(f"{flow_run.flow_name}: {project.shorten(str(error))}")
        notices.failed(project, str(error))
        raise
    if server:
        announce(f"{flow_run.flow_name}: done")


def clean_up(project: Project, served: bool) -> None:
    """Put right what earlier runs have left. served: by schedules that run all of this deployment's runs, one at a time."""
    if not deployment.id:
        recovery.mark_crashed(project)
        return
    own, run = UUID(deployment.id), UUID(flow_run.id)
    with get_client(sync_client=True) as client:
        recovery.check_reruns(client, run, own)
        deployments = recovery.siblings(client, own)
        recovery.mark_crashed(project, deployments if served else (), run)
        drop_missed([own])
        recovery.rerun(client, deployments)


def announce(message: str) -> None:
    """Print a message for the user, and log it on the run's page."""
    say(f"══ {timestamps.seconds(timestamps.now())} UTC  {message}")
    get_run_logger().info(message)


def deployment_name(project: Project) -> str:
    """A name that no other project has, on this machine or another: they may share a Prefect server, or its database."""
    place = f"{socket.gethostname()}:{project.root}"
    return f"{re.sub('[^A-Za-z0-9_-]', '-', project.root.name)}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


@contextmanager
def hold_run_file(project: Project) -> Iterator[None]:
    place = recovery.run_files(project) / str(flow_run.id)
    with FileLock(place):
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def drop_missed(deployments: Iterable[UUID]) -> int:
    """Delete scheduled runs whose time has passed, because each would repeat the first; returns how many."""
    deployments, dropped = list(deployments), 0
    with get_client(sync_client=True) as client:
        while missed := [
            run
            for run in recovery.find_runs(client, deployments, [StateType.SCHEDULED], timestamps.now())
            if run.auto_scheduled
        ]:
            for run in missed:
                client.delete_flow_run(run.id)
            dropped += len(missed)
    return dropped
