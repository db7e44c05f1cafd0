"""genloop studio as a program: what it refuses before it listens, what it prints, and how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

from pipelines.core.project import Project
from tests.conftest import REPOSITORY


@pytest.fixture
def configured(project: Project) -> Project:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    return project


def start(project: Project, *options: str, **variables: str) -> subprocess.Popen[str]:
    environment = {**project.environment, "PYTHONPATH": str(REPOSITORY), **variables}
    command = [sys.executable, REPOSITORY / "genloop.py", "studio", *options, "--project", project.root]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_taken_port_is_said(configured: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(configured, "--port", str(taken.getsockname()[1]))
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Address already in use; --port takes another one" in err
    assert "Traceback" not in err


def test_other_machines_need_a_secret(configured: Project) -> None:
    process = start(configured, "--host", "0.0.0.0", "--port", "0")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "GENLOOP_SECRET_KEY is missing: other machines can reach 0.0.0.0" in err


def test_it_answers_at_once_logs_json_and_ends_when_it_is_told_to(configured: Project) -> None:
    process = start(configured, "--port", "0")
    assert process.stderr is not None
    lines = []
    while not any("the studio is at" in line for line in lines):
        lines.append(process.stderr.readline())
        assert process.poll() is None, lines
    address = json.loads(lines[-1])["message"].split()[-1]
    began = time.monotonic()
    assert httpx.get(f"{address}/healthz").json() == {"status": "ok"}
    assert "The first version is on its way" in httpx.get(f"{address}/").text
    assert httpx.get(f"{address}/readyz").status_code == 503
    assert time.monotonic() - began < 5
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    requests = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert {"message": "request", "method": "GET", "path": "/", "status": 200}.items() <= requests[0].items()
    assert out == ""
