"""Flow runs, from beginning to end: each has the project for itself, and clears away after those that could not.

Prefect knows of a run what it was told last. One that was killed is Running for good, and its schedule goes on when nobody
serves it. So each run holds the lock of a file of its name as long as it goes on; the system gives that back when it dies.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
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

from pipelines.core import paths
from pipelines.core.processes import die_with_parent
from workspace import terminal
from workspace.locks import alone

FOLDER = paths.LOGS / "flow-runs"
SERVER = "GENLOOP_SERVED_BY"  # process that serves schedules, in the environment of those that it starts
UNFINISHED = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


@contextmanager
def going_on() -> Iterator[None]:
    """Around all that a flow does. Waits until no other run goes on in this project."""
    served = os.environ.get(SERVER)
    if served:
        die_with_parent(int(served))
        say(f"{flow_run.flow_name}: begins")
    try:
        with alive(), alone(wait=say):
            reap()
            if deployment.id:
                drop_missed([UUID(deployment.id)])
            yield
    except Exception as error:
        if served:  # nobody else would say it where the schedules are looked at
            say(f"{flow_run.flow_name}: {error}")
        raise
    if served:
        say(f"{flow_run.flow_name}: done")


def say(words: str) -> None:
    """To the user, and to the run's page."""
    terminal.show(f"══ {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC  {words}\n".encode())
    get_run_logger().info(words)


def project() -> str:
    """A name that no other project has, on this machine or another: they may share a Prefect server, or its database."""
    place = f"{socket.gethostname()}:{Path.cwd().resolve()}"
    return f"{re.sub('[^A-Za-z0-9_-]', '-', Path.cwd().name)}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


@contextmanager
def alive() -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    place = (FOLDER / str(flow_run.id)).resolve()
    with FileLock(place):
        try:
            yield
        finally:
            place.unlink(missing_ok=True)


def reap(served: Iterable[UUID] = ()) -> int:
    """Tell Prefect which runs have died; how many.

    Args:
        served: deployments whose runs nobody else can be running.
    """
    died = 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    with get_client(sync_client=True) as client:
        for place in sorted(FOLDER.iterdir()):
            try:
                with FileLock(place, timeout=0):
                    died += bury(client, UUID(place.name))
                    place.unlink(missing_ok=True)
            except Timeout:  # it goes on
                continue
        for run in of(client, served, UNFINISHED):
            if not (FOLDER / str(run.id)).exists():
                died += bury(client, run.id)
    return died


def bury(client: SyncPrefectClient, run: UUID) -> bool:
    """Whether Prefect thought that it went on."""
    try:
        state = client.read_flow_run(run).state
    except ObjectNotFound:  # of another server
        return False
    if state is None or state.type not in UNFINISHED:
        return False
    client.set_flow_run_state(run, Crashed(message="its process was killed"), force=True)
    return True


def drop_missed(deployments: Iterable[UUID]) -> int:
    """Scheduled runs whose time has passed would come one after the other, each to do what the first has done; how many."""
    deployments, dropped = list(deployments), 0
    with get_client(sync_client=True) as client:
        while missed := [
            run for run in of(client, deployments, [StateType.SCHEDULED], datetime.now(UTC)) if run.auto_scheduled
        ]:
            for run in missed:
                client.delete_flow_run(run.id)
            dropped += len(missed)
    return dropped


def of(
    client: SyncPrefectClient, deployments: Iterable[UUID], states: Iterable[StateType], until: datetime | None = None
) -> list[FlowRun]:
    """Runs of these deployments that are in these states, those alone that were due before `until`; 200 at the most."""
    asked: dict[str, Any] = {"deployment_id": {"any_": list(deployments)}, "state": {"type": {"any_": list(states)}}}
    if until:
        asked["expected_start_time"] = {"before_": until}
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(asked)) if asked["deployment_id"]["any_"] else []
