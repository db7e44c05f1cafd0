"""A tiny project of its own for each test, and one Prefect server for the session."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows import kept_project
from tests.flows.tiny_project import REPOSITORY, Tiny


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "config", "core.analytics", "false"], cwd=folder, check=True)
    shutil.copy(REPOSITORY / "params.yaml", folder)
    return folder


@pytest.fixture
def tiny(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tiny]:
    """A tiny project with no Prefect server that answers."""
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    monkeypatch.chdir(folder)
    project = Tiny(folder, {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")})
    yield project
    for process in project.processes():
        process.send_signal(signal.SIGKILL)
    for started in project.started:
        started.communicate(timeout=120)


@pytest.fixture
def served(tiny: Tiny, prefect_server: dict[str, str]) -> Tiny:
    """A tiny project with the session's Prefect server."""
    tiny.environment |= prefect_server
    return tiny


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The server that `genloop run` would start, kept for the session: it takes 13 s."""
    home = str(tmp_path_factory.mktemp("prefect"))
    code = """
import sys
from flows.server import server
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
with server():
    print(PREFECT_API_URL.value(), PREFECT_API_AUTH_STRING.value(), flush=True)
    sys.stdin.read()
"""
    outside = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    environment = {**outside, "PREFECT_HOME": home, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url, password = process.stdout.readline().split()
        yield {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": password, "PREFECT_HOME": home}
        process.stdin.close()


@pytest.fixture(scope="session")
def kept_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "project"
    kept_project.make(folder)
    return folder


@pytest.fixture
def kept(kept_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own under git and DVC, as the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(kept_template, folder)
    monkeypatch.chdir(folder)
    return folder
