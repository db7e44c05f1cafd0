"""Prefect's server: the configured one, else one of our own as long as a flow runs."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from workspace import processes

FACTORY = "prefect.server.api.server:create_app"
DRAIN_TIMEOUT = 5.0  # seconds to send the last messages to the server


@contextmanager
def server(project: Project) -> Iterator[None]:
    """A block in which Prefect's API answers.

    Prefect would start such a server by itself, but leaves it running when the flow is killed, and open to every web
    page in the user's browser; ours dies with the flow and asks for a password. Both write to PREFECT_HOME.
    """
    if configured := PREFECT_API_URL.value():
        if not reachable(configured):
            raise GenloopError(f"Prefect's server at {configured} does not answer; start it, or unset PREFECT_API_URL")
        yield
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    password = secrets.token_urlsafe(32)
    private = {
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", FACTORY, "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as output:
        process = processes.start(
            project.with_variables(private), [*uvicorn, "--log-level", "error"], stdout=output, stderr=output
        )
        try:
            url = f"http://127.0.0.1:{port}/api"
            if not wait_until_ready(url, process):
                output.seek(0)
                raise GenloopError(f"Prefect's server did not start:\n{output.read()[-2000:]}")
            with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}):
                yield
        finally:
            for messages in (APILogWorker, EventsWorker):  # otherwise they would look for the server for a minute
                messages.drain_all(timeout=DRAIN_TIMEOUT)
            processes.stop(process)


def reachable(url: str) -> bool:
    try:
        httpx.get(f"{url}/health", timeout=10)
    except httpx.TransportError:
        return False
    return True


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    with httpx.Client(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < until:
            try:
                if client.get(f"{url}/health").status_code == httpx.codes.OK:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    return False
