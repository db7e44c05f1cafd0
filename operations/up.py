"""Up: everything that keeps the loop turning on one machine: studio, schedules, and the pages of Prefect and MLflow.

Where a project has no champion yet, the first run begins, and the studio shows it.
"""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.core.urls import hide_password
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from pipelines.settings.schema import Params
from workspace.services import Service, ServiceGroup

HOST = "127.0.0.1"
PREFECT_PORT, MLFLOW_PORT = 4200, 5000  # or any that is free
PYTHON = sys.executable
Write = Callable[[str, str], None]


@dataclass(frozen=True)
class Addresses:
    """Where people find the pages."""

    studio: str
    prefect: str
    mlflow: str


def up(project: Project, params: Params, port: int, demo: bool, write: Write, ready: Callable[[Addresses], None]) -> None:
    """Keep all services running until Ctrl-C.

    Args:
        port: of the studio.
        demo: simulated raters vote on what the studio shows.
        write: gets the name of a service, and a line.
        ready: gets the addresses once all pages answer.

    Raises:
        InputError: the studio cannot run with these settings.
        GenloopError: its port is taken.
    """
    require_free(port)
    key = secrets.token_urlsafe(24)
    found = plan(project, port, {"GENLOOP_API_KEYS": with_key(project, key)} if demo else {})
    with ServiceGroup(project.with_variables(found.variables), write) as group:
        group.start(found.studio)
        group.wait(found.studio)
        write("up", f"the studio is at {found.addresses.studio}; the other pages follow")
        for page in found.pages:
            group.start(page)
        for page in found.pages:
            group.wait(page)
        if params.schedule.retrain or params.schedule.feedback:
            group.start(Service("schedules", (PYTHON, "-m", "flows.schedules"), needs=True))
        else:
            write("up", "schedule.retrain and schedule.feedback are null, so nothing runs on schedule")
        if Registry.open(project, params.registry).alias(CHAMPION) is None:
            write("up", "there is no model yet: the first run begins, and the studio shows it")
            group.start(Service("run", (PYTHON, "-m", "genloop", "run"), once=True, needs=True))
        if demo:
            raters = (PYTHON, "-m", "studio.simulated_raters", "--address", found.addresses.studio)
            group.start(Service("raters", raters, variables={"GENLOOP_API_KEY": key}, needs=True))
        ready(found.addresses)
        group.join(found.studio)


@dataclass(frozen=True)
class Plan:
    """variables: that all services get. pages: what runs beside the studio."""

    studio: Service
    pages: list[Service]
    variables: dict[str, str]
    addresses: Addresses


def plan(project: Project, port: int, for_studio: dict[str, str]) -> Plan:
    """What is to be started. A server of Prefect or MLflow that the environment names is used, and not started."""
    pages, variables = [], {}
    prefect = project.environment.get("PREFECT_API_URL", "")
    if not prefect:
        free = free_port(PREFECT_PORT)
        prefect = f"http://{HOST}:{free}/api"
        command = (PYTHON, "-m", "flows.prefect_server", "--port", str(free))
        pages.append(Service("prefect", command, f"{prefect}/health"))
        variables["PREFECT_API_URL"] = prefect
    mlflow = project.tracking_uri
    if urlsplit(mlflow).scheme not in ("http", "https"):
        free = free_port(MLFLOW_PORT)
        mlflow = f"http://{HOST}:{free}"
        pages.append(Service("mlflow", (PYTHON, "-m", "pipelines.registry.server", "--port", str(free)), f"{mlflow}/health"))
    address = f"http://{HOST}:{port}"
    serve = (PYTHON, "-m", "genloop", "studio", "--port", str(port))
    studio = Service("studio", serve, f"{address}/healthz", {"GENLOOP_STUDIO_LOG": "plain", **for_studio})
    addresses = Addresses(address, hide_password(prefect.removesuffix("/api")), hide_password(mlflow))
    return Plan(studio, pages, variables, addresses)


def require_free(port: int) -> None:
    """Raises GenloopError where another program listens at the port."""
    try:
        bind(port)
    except OSError as error:
        raise GenloopError(f"{HOST}:{port}: {error.strerror}; --port takes another one") from None


def free_port(wanted: int) -> int:
    """This one, or any that is free."""
    try:
        return bind(wanted)
    except OSError:
        return bind(0)


def bind(port: int) -> int:
    with socket.socket() as listener:
        # Connections of a server that has just ended are no other program.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        return int(listener.getsockname()[1])


def with_key(project: Project, key: str) -> str:
    """The API keys that there are, and one for the simulated raters."""
    keys = project.environment.get("GENLOOP_API_KEYS", "")
    return ",".join(filter(None, [keys, f"raters:generate+events:{key}"]))
