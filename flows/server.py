"""Prefect's server: the configured one, else one of our own as long as a flow runs."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import httpx
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_HOME,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from flows import health
from pipelines.core.environment import proxy_faults
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.processes import ignore_socks_proxies
from pipelines.core.progress import say
from pipelines.core.project import Project
from workspace import processes

FACTORY = "prefect.server.api.server:create_app"
OWN_SERVER = "GENLOOP_OWN_SERVER"  # in the environment of runs whose schedules have brought the server
DRAIN_TIMEOUT = 5.0  # seconds to send the last messages to the server
PATIENCE = 30.0  # seconds of starting after which the user is told that it goes on
OWN: ContextVar[bool] = ContextVar("own Prefect server", default=False)  # whether the server ends with the block


def is_configured() -> bool:
    """Whether the environment, or Prefect's profile, names a server."""
    return bool(PREFECT_API_URL.value())


def is_shared(project: Project) -> bool:
    """Whether Prefect's server is a configured one, so that others may use it too, and not our own."""
    return is_configured() and not OWN.get() and not project.environment.get(OWN_SERVER)


@contextmanager
def server(project: Project) -> Iterator[None]:
    """A block in which Prefect's API answers. Raises GenloopError where it does not, InputError where a proxy is no address.

    Prefect would start such a server by itself, but leaves it running when the flow is killed, and open to every web
    page in the user's browser; ours dies with the flow and asks for a password. Both write to PREFECT_HOME.
    """
    if faults := proxy_faults(project.environment):
        raise InputError("; ".join(faults))
    ignore_socks_proxies()
    if configured := PREFECT_API_URL.value():
        if (wrong := health.fault(configured)) is not None:
            raise GenloopError(wrong)
        yield
        return
    password = secrets.token_urlsafe(32)
    private = {
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",  # into its own file
    }
    log = project.logs / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # The server inherits the socket: a port that is only found free may be another program's when the server begins.
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
        options = f"--factory {FACTORY} --fd {listener.fileno()} --log-level error".split()
        uvicorn = [sys.executable, "-m", "uvicorn", *options]
        process = processes.start(
            project.with_variables(private), uvicorn, stdout=output, stderr=output, pass_fds=[listener.fileno()]
        )
        listener.close()  # the server's alone now: while we held it too, nobody would be told that a server has died
        try:
            wait_until_ready(url, process, log)
            with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}):
                token = OWN.set(True)
                try:
                    yield
                finally:
                    OWN.reset(token)
        finally:
            for messages in (APILogWorker, EventsWorker):  # otherwise they would look for the server for a minute
                messages.drain_all(timeout=DRAIN_TIMEOUT)
            processes.stop(process)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises GenloopError where the server ends, or does not answer in time."""
    limit, started = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value(), time.monotonic()
    announced = False
    with httpx.Client(trust_env=False) as client:
        while process.poll() is None:
            try:
                if client.get(f"{url}/health").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            waited = time.monotonic() - started
            if waited > limit:
                name = PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.name
                raise GenloopError(
                    f"Prefect's server did not start within {limit} s, most often because the machine is busy; run again, or "
                    f"give it longer: {name}=N (its output is in {log})"
                )
            if waited > PATIENCE and not announced:
                say(f"Prefect's server is still starting; it may take {limit} s")
                announced = True
            time.sleep(0.1)
    raise GenloopError(f"Prefect's server did not start: {reason(log.read_text(errors='replace'))} (its output is in {log})")


def reason(output: str) -> str:
    """Of the server's output the line that says most, with a way out where there is a known one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    home = PREFECT_HOME.value()
    if "Can't locate revision" in output:
        return f"its database in {home} was made by a newer Prefect; set PREFECT_HOME to another folder"
    if "database is locked" in output:
        return f"its database in {home} is held by another program; wait for that one, or set PREFECT_HOME to another folder"
    errors = [line for line in lines if line.partition(":")[0].endswith(("Error", "Exception"))]
    return (errors or lines or ["it said nothing"])[-1][:300]
