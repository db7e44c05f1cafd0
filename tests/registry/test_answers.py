"""A registry on a server that does not answer is found out in seconds, and said in one line."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from operations.staleness import stale_stages
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.registry import answers
from pipelines.registry.client import Registry
from tests.conftest import MakeParams
from tests.support import http_servers
from workspace import dvc


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)
        yield server.getsockname()[1]


@pytest.fixture
def full(silent: int) -> Iterator[int]:
    """The port of a server that takes no more connections, and does not refuse them either."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        port = server.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        yield port
        for one in waiting:
            one.close()


def test_a_silent_server_is_said_soon_by_whoever_asks(
    project: Project, make_params: MakeParams, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also before a run, which first looks whether the version in the receipt is known."""
    monkeypatch.setattr(answers, "ANSWER", 0.5)
    monkeypatch.setattr(dvc, "status", lambda _: {"register": "fresh"})
    project.reports.mkdir(parents=True)
    (project.reports / "register.json").write_text('{"key": "x", "version": 1}')
    params = make_params()
    registry = Registry.open(project.with_variables({"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{silent}"}), params.registry)
    expected = (
        rf"^MLflow at http://127\.0\.0\.1:{silent} does not answer \(nothing came within 0\.5 seconds\); "
        r"start it, or change MLFLOW_TRACKING_URI$"
    )
    for ask in (registry.versions, registry.numbers, lambda: stale_stages(project, params, registry)):
        start = time.monotonic()
        with pytest.raises(GenloopError, match=expected):
            ask()
        assert time.monotonic() - start < 10


@pytest.mark.parametrize("scheme", ["http", "https", "postgresql", "postgresql+psycopg2", "mysql+pymysql", "mssql+pyodbc"])
def test_a_refused_connection_is_said_without_the_password(scheme: str) -> None:
    with pytest.raises(GenloopError) as raised:
        answers.check(f"{scheme}://ann:secret@127.0.0.1:9/name")
    assert str(raised.value).startswith(f"MLflow at {scheme}://…@127.0.0.1:9/name does not answer (")
    assert "Connection refused" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("scheme", ["http", "postgresql"])
def test_a_host_that_takes_no_connection_is_said_soon(full: int, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "ANSWER", 0.3)
    with pytest.raises(GenloopError, match=r"does not answer \(nothing came within 0\.3 seconds\)"):
        answers.check(f"{scheme}://127.0.0.1:{full}/name")


def test_a_gateway_before_a_server_that_is_down_is_no_answer() -> None:
    down = (503, "text/html", "<h1>down</h1>")
    with http_servers.answering({"/health": down}) as url, pytest.raises(GenloopError, match=r"does not answer \(HTTP 503\)"):
        answers.check(url)


@pytest.mark.parametrize("status", [200, 401, 404, 500])
def test_whatever_else_comes_is_an_answer(status: int) -> None:
    with http_servers.answering({"/health": (status, "text/plain", "OK")}) as url:
        answers.check(f"{url}/")


@pytest.mark.parametrize("uri", ["sqlite:////nowhere/mlflow.db", "file:///mlruns", "databricks"])
def test_what_is_no_server_is_not_asked(uri: str) -> None:
    answers.check(uri)


def test_a_port_that_is_none_is_said() -> None:
    with pytest.raises(GenloopError, match="Port could not be cast to integer"):
        answers.check("postgresql://127.0.0.1:port/name")


def test_a_package_that_mlflow_lacks_is_named(project: Project, make_params: MakeParams, silent: int) -> None:
    project = project.with_variables({"MLFLOW_TRACKING_URI": f"mssql+pymssql://127.0.0.1:{silent}/name"})
    with pytest.raises(GenloopError, match=r"^MLflow needs the package pymssql for MLFLOW_TRACKING_URI; install it$"):
        Registry.open(project, make_params().registry).numbers()
