"""Prefect's server: the one that is configured, else one of our own for as long as a flow runs."""

from __future__ import annotations

import os
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
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from pipelines.core.errors import GenloopError
from workspace import processes

FACTORY = "prefect.server.api.server:create_app"
DRAIN = 5.0  # seconds for the last messages to the server


@contextmanager
def server() -> Iterator[None]:
    """Prefect's API is there inside the block.

    Prefect would start such a server by itself, but leaves it running when the flow is killed, and open to every web
    page in the user's browser; ours dies with the flow and asks for a password. Both write to PREFECT_HOME.

    Raises:
        GenloopError: it did not start.
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
    environment = {
        **os.environ,
        "PREFECT_SERVER_API_AUTH_STRING": password,
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", FACTORY, "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile("w+") as words:
        process = processes.start([*uvicorn, "--log-level", "error"], stdout=words, stderr=words, env=environment)
        try:
            url = f"http://127.0.0.1:{port}/api"
            if not answers(url, process):
                words.seek(0)
                raise GenloopError(f"Prefect's server did not start:\n{words.read()[-2000:]}")
            with temporary_settings({PREFECT_API_URL: url, PREFECT_API_AUTH_STRING: password}):
                yield
        finally:
            for messages in (APILogWorker, EventsWorker):  # else they would look for the server for a minute
                messages.drain_all(timeout=DRAIN)
            processes.stop(process)


def reachable(url: str) -> bool:
    try:
        httpx.get(f"{url}/health", timeout=10)
    except httpx.TransportError:
        return False
    return True


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    until = time.monotonic() + float(os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"])
    with httpx.Client(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < until:
            try:
                if client.get(f"{url}/health").status_code == httpx.codes.OK:
                    return True
            except httpx.TransportError:
                pass
            time.sleep(0.1)
    return False
