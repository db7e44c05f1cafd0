"""Prefect's server with its page: for this machine's user, without a login, and for no page of another site."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin

PATIENCE = 90.0  # seconds
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT")}
    environment = {
        **outside,
        "PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    process = subprocess.Popen([sys.executable, "-m", "flows.prefect_server", "--port", str(port)], env=environment)
    try:
        found, end = f"http://127.0.0.1:{port}", time.monotonic() + PATIENCE
        while time.monotonic() < end and process.poll() is None:
            try:
                if httpx.get(f"{found}/api/health").is_success:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield found
    finally:
        process.terminate()
        process.wait(30)


def test_the_page_needs_no_login_and_asks_its_own_server(address: str) -> None:
    page = httpx.get(f"{address}/", follow_redirects=True)
    assert page.status_code == 200
    assert "<html" in page.text
    assert httpx.get(f"{address}/ui-settings").json()["api_url"] == f"{address}/api"
    assert httpx.post(f"{address}/api/flows/filter", json={}, headers=token(address)).json() == []


def test_a_name_that_is_not_this_machine_is_refused(address: str) -> None:
    assert httpx.get(f"{address}/api/health", headers={"host": "evil.example"}).status_code == 400


def test_a_change_without_a_token_is_refused(address: str) -> None:
    assert httpx.post(f"{address}/api/flows/", json={"name": "theirs"}).status_code == 403
    assert httpx.post(f"{address}/api/flows/", json={"name": "ours"}, headers=token(address)).status_code == 201


def test_a_page_of_another_site_may_not_read_and_so_gets_no_token(address: str) -> None:
    foreign = httpx.get(f"{address}/api/csrf-token?client=theirs", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    assert httpx.options(f"{address}/api/flows/", headers=asked).status_code == 400


def test_a_page_of_another_site_gets_no_events(address: str) -> None:
    events = f"{address.replace('http', 'ws')}/api/events/out"
    with pytest.raises(InvalidStatus) as caught:
        connect(events, origin=Origin("https://evil.example"))
    assert caught.value.response.status_code == 403
    connect(events, origin=Origin(address)).close()
    connect(events).close()


def test_prefects_own_client_works_with_it(address: str) -> None:
    code = "from prefect import flow\n@flow\ndef one(): return 1\nassert one() == 1"
    environment = {**os.environ, "PREFECT_API_URL": f"{address}/api"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    runs = httpx.post(f"{address}/api/flow_runs/filter", json={}, headers=token(address)).json()
    assert [run["state_type"] for run in runs] == ["COMPLETED"]


def token(address: str) -> dict[str, str]:
    """As Prefect's own page asks for it."""
    found = httpx.get(f"{address}/api/csrf-token?client=test").json()
    return {"prefect-csrf-token": found["token"], "prefect-csrf-client": "test"}
