"""Runs that nothing needs, in a registry behind a server; in a local one: tests/operations/test_garbage.py."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from pipelines.core.project import Project
from pipelines.registry import runs
from pipelines.registry.client import Registry
from pipelines.registry.versions import COMMIT
from tests.conftest import MakeParams
from tests.support import flat_model
from tests.support.flat_model import greys


@pytest.fixture
def served(project: Project, tmp_path: Path, make_params: MakeParams) -> Iterator[Registry]:
    """A registry behind MLflow's own server, which also keeps the artifacts."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path / "server"
    folder.mkdir()
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts"),
    ]  # fmt: skip
    with (
        (tmp_path / "server.log").open("w") as log,
        subprocess.Popen(
            command, cwd=folder, env=dict(project.environment), stdout=log, stderr=log, start_new_session=True
        ) as server,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/health", server, tmp_path / "server.log")
            named = project.with_variables({"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{port}"})
            yield Registry.open(named, make_params().registry)
        finally:
            server.send_signal(signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.5)


@pytest.mark.slow
def test_behind_a_server_artifacts_are_deleted_and_rows_go_into_its_bin(served: Registry, tmp_path: Path) -> None:
    kept, deleted = flat_model.register(served), flat_model.register(served)
    client, experiment = served.client, served.experiment()
    runs_of = {number: served.version(number).run_id for number in (kept, deleted)}
    for number, run in runs_of.items():
        client.set_tag(run, COMMIT, "none")
        client.set_tag(run, "number", str(number))
    client.delete_model_version(served.name, str(deleted))
    foreign = client.create_run(experiment, tags={"mine": "yes"}).info.run_id
    young = client.create_run(experiment, tags={COMMIT: "none"}).info.run_id
    since = datetime.now(UTC) - timedelta(hours=1)

    def files() -> int:
        return sum(path.is_file() for path in (tmp_path / "server/artifacts").rglob("*"))

    before = files()
    found = runs.unneeded(served, since)
    assert [(one.kind, one.id == runs_of[deleted]) for one in found] == [("model", False), ("run", True)]
    assert all(one.size for one in found)
    assert files() == before
    assert not runs.deletes_rows(served)
    for one in found:
        runs.delete(served, one)
    assert files() * 2 == before  # both versions have as many
    assert runs.unneeded(served, since) == []
    states = {run.info.run_id: run.info.lifecycle_stage for run in runs.all_runs(served, experiment)}
    assert states == {runs_of[kept]: "active", runs_of[deleted]: "deleted", foreign: "active", young: "active"}
    assert greys(served.load(kept).draw(np.arange(3), np.zeros(3, np.int32))) == [0, 1, 2]
