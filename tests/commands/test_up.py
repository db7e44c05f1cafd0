"""`genloop up`: all pages answer, a killed part comes back, and nothing is left when it ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess

import httpx
import pytest

from tests.support.tiny_project import Tiny, until


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5, follow_redirects=True).is_success
    except httpx.TransportError:
        return False


def test_a_taken_port_is_one_line(tiny: Tiny) -> None:
    tiny.graph(one="pass")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = tiny.ran("up", "--port", str(port))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"genloop: 127.0.0.1:{port}: Address already in use; --port takes another one"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_pages_answer_parts_come_back_and_nothing_is_left(tiny: Tiny) -> None:
    tiny.graph(one="pass")
    del tiny.environment["PREFECT_API_URL"]
    port = free_port()
    process = tiny.genloop("up", "--json", "--port", str(port), stderr=subprocess.STDOUT)
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("{"):
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    addresses = json.loads(lines[-1])
    assert addresses.keys() == {"studio", "prefect", "mlflow"}
    assert all(map(answers, addresses.values()))
    tiny.named("flows.schedules")
    for part, address in (("genloop studio", f"{addresses['studio']}/healthz"), ("flows.prefect_server", addresses["prefect"])):
        tiny.named(part).kill()
        until(lambda address=address: not answers(address))
        until(lambda address=address: answers(address))
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    assert "starting it again" in output
    assert process.returncode == 0
    assert output.splitlines()[-1] == "up: everything has ended"
    tiny.nothing_left(10)
