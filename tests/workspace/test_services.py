"""Programs side by side: each is started again when it ends, nothing outlives the group, and their lines name them."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from workspace import services
from workspace.services import Service, ServiceGroup

PATIENCE = 20.0  # seconds
SERVER = """
import http.server, os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
print("pids", os.getppid(), os.getpid(), child.pid, flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Lines:
    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def write(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    def pids(self) -> list[list[int]]:
        """Of each time that SERVER was started: its supervisor, itself, and its child."""
        return [[int(word) for word in line.split()[1:]] for _, line in self.lines if line.startswith("pids")]


@pytest.fixture
def here(tmp_path: Path) -> Project:
    return Project(tmp_path, dict(os.environ))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "PAUSES", (0.1, 0.4))


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it has not come about in time"
        time.sleep(0.02)


def lives(pid: int) -> bool:
    """Whether there is such a process, and not only its exit code, which init may leave uncollected."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *arguments)


def server() -> Service:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return Service("page", python(SERVER, str(port)), f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("killed", [0, 1], ids=["its supervisor", "the program"])
def test_a_killed_service_comes_back_and_leaves_nothing(here: Project, killed: int) -> None:
    lines, page = Lines(), server()
    with ServiceGroup(here, lines.write) as group:
        group.start(page)
        group.wait(page)
        (first,) = lines.pids()
        os.kill(first[killed], signal.SIGKILL)
        until(lambda: len(lines.pids()) == 2)
        group.wait(page)
        assert not any(map(lives, first))
        assert any(name == "page" and "SIGKILL" in line and "starting it again" in line for name, line in lines.lines)
    assert not any(lives(pid) for run in lines.pids() for pid in run)


def test_pauses_grow_while_it_fails_again_and_again(here: Project) -> None:
    lines = Lines()
    with ServiceGroup(here, lines.write) as group:
        group.start(Service("broken", python("import time, sys; print(f'at {time.monotonic()}', flush=True); sys.exit(1)")))
        until(lambda: sum(line.startswith("at ") for _, line in lines.lines) == 4)
    at = [float(line.removeprefix("at ")) for _, line in lines.lines if line.startswith("at ")]
    first, second, third = (later - earlier for earlier, later in itertools.pairwise(at))
    assert first < second < third
    assert first > 0.1
    assert third > 0.4


def test_unusable_input_is_not_tried_again(here: Project) -> None:
    lines = Lines()
    wrong = Service("wrong", python("import sys; print('what is wrong'); sys.exit(2)"), "http://127.0.0.1:9/")
    with ServiceGroup(here, lines.write) as group:
        group.start(wrong)
        with pytest.raises(InputError, match="wrong: stopped with exit code 2"):
            group.wait(wrong)
        with pytest.raises(InputError, match="wrong"):
            group.join(wrong)
    assert [line for _, line in lines.lines].count("what is wrong") == 1


def test_one_that_ends_by_itself_is_not_started_again(here: Project) -> None:
    lines, others = Lines(), server()
    with ServiceGroup(here, lines.write) as group:
        group.start(Service("once", python("print('done')"), once=True))
        group.start(others)
        group.wait(others)
        time.sleep(0.5)
    assert lines.lines.count(("once", "done")) == 1


def test_one_that_ends_by_itself_is_given_up_after_three_failures(here: Project) -> None:
    lines = Lines()
    failing = Service("once", python("import sys; print('tried'); sys.exit(1)"), once=True)
    with ServiceGroup(here, lines.write) as group:
        group.start(failing)
        until(lambda: failing in group.failures)
    assert lines.lines.count(("once", "tried")) == services.TRIES


def test_a_program_that_cannot_be_started_is_tried_again(here: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    start, calls = services.processes.start, list[int]()

    def fail_once(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("Cannot allocate memory")
        return start(*arguments, **options)

    monkeypatch.setattr(services.processes, "start", fail_once)
    lines, page = Lines(), server()
    with ServiceGroup(here, lines.write) as group:
        group.start(page)
        group.wait(page)
    assert ("page", "Cannot allocate memory") in lines.lines


def test_a_service_goes_on_where_nobody_reads_its_lines(here: Project) -> None:
    def broken(name: str, line: str) -> None:
        raise BrokenPipeError

    page = server()
    with ServiceGroup(here, broken) as group:
        group.start(page)
        group.wait(page)
        assert group.threads[page].is_alive()


def test_the_last_words_of_a_program_are_shown(here: Project) -> None:
    lines = Lines()
    with ServiceGroup(here, lines.write) as group:
        group.start(Service("words", python("import sys; sys.stderr.write('no newline at the end')"), once=True))
        until(lambda: ("words", "no newline at the end") in lines.lines)


def test_those_that_use_others_end_before_them(here: Project, tmp_path: Path) -> None:
    mark = tmp_path / "order"
    code = """
import signal, sys, time
def end(*_):
    time.sleep(0.3 if sys.argv[1] == "user" else 0)
    with open(sys.argv[2], "a") as file: file.write(sys.argv[1] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True: time.sleep(1)
"""
    lines = Lines()
    with ServiceGroup(here, lines.write) as group:
        group.start(Service("base", python(code, "base", str(mark))))
        group.start(Service("user", python(code, "user", str(mark)), needs=True))
        until(lambda: [line for _, line in lines.lines].count("ready") == 2)
    assert mark.read_text().split() == ["user", "base"]


def test_a_group_that_is_ended_while_it_waits_starts_nothing_more(here: Project) -> None:
    lines, never = Lines(), Service("never", python("import time; time.sleep(600)"), "http://127.0.0.1:9/")
    group = ServiceGroup(here, lines.write)
    group.start(never)

    def wait() -> None:
        with pytest.raises(GenloopError, match="stopped before it answered"):
            group.wait(never)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    until(lambda: group.processes)
    process = group.processes[never]
    group.stop()
    waiting.join(PATIENCE)
    assert not waiting.is_alive()
    assert process.poll() is not None
    assert not any(thread.is_alive() for thread in group.threads.values())
