"""Chunks come back in order, few at a time; a worker dies with its parent, and its own death is reported."""

from __future__ import annotations

import errno
import multiprocessing.synchronize  # noqa: F401  (before its semaphore is replaced)
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.core import parallel
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.parallel import EXTRA_CHUNKS, map_ordered

REPOSITORY = Path(__file__).resolve().parents[2]


def slow_for_even(number: int) -> tuple[int, int]:
    time.sleep(0.02 if number % 2 == 0 else 0)
    return number, os.getpid()


def die(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def complain(number: int) -> None:
    raise InputError(f"chunk {number} is unusable")


def nap(folder: str) -> None:
    """Work for long, and leave a file that shows it."""
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def test_results_come_in_the_order_of_the_chunks_from_other_processes() -> None:
    results = list(map_ordered(slow_for_even, range(20), workers=2))
    assert [number for number, _ in results] == list(range(20))
    assert os.getpid() not in {process for _, process in results}


@pytest.mark.parametrize(("count", "workers"), [(0, 2), (1, 2), (5, 1)])
def test_little_work_is_done_here(count: int, workers: int) -> None:
    results = list(map_ordered(slow_for_even, range(count), workers))
    assert results == [(number, os.getpid()) for number in range(count)]


def test_no_more_chunks_are_taken_than_fit() -> None:
    taken = 0

    def chunks() -> Iterator[int]:
        nonlocal taken
        for taken in range(1, 101):  # noqa: UP028  (counts as it goes)
            yield taken

    for done, _ in enumerate(map_ordered(slow_for_even, chunks(), workers=2), start=1):
        assert taken - done < 2 + EXTRA_CHUNKS


def test_the_death_of_a_worker_is_said() -> None:
    with pytest.raises(GenloopError, match="a worker process was killed, most often because memory ran out"):
        list(map_ordered(die, range(4), workers=2))


def test_what_the_function_raises_comes_through() -> None:
    with pytest.raises(InputError, match="chunk 0 is unusable"):
        list(map_ordered(complain, range(4), workers=2))


def test_what_the_source_raises_comes_through_and_leaves_no_process() -> None:
    def chunks() -> Iterator[int]:
        yield from range(3)
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        list(map_ordered(slow_for_even, chunks(), workers=2))
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot ask for it")
@pytest.mark.parametrize(
    ("signal_name", "working"),  # whether they work already, or are starting
    [("SIGKILL", True), ("SIGTERM", True), ("SIGINT", True), ("SIGKILL", False)],
)
def test_workers_die_with_their_parent(tmp_path: Path, signal_name: str, working: bool) -> None:
    code = f"from tests.core import test_parallel as test; list(test.map_ordered(test.nap, [{str(tmp_path)!r}] * 9, 2))"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        workers: list[psutil.Process] = []
        waited = time.monotonic() + 20
        while len(workers) < 2 and time.monotonic() < waited:
            time.sleep(0.1)
            workers = [one for one in psutil.Process(parent.pid).children() if "spawn_main" in " ".join(one.cmdline())]
        assert len(workers) == 2
        while working and len(list(tmp_path.iterdir())) < 2 and time.monotonic() < waited:
            time.sleep(0.05)
        assert not working or len(list(tmp_path.iterdir())) == 2
        os.killpg(parent.pid, signal.SIGINT) if signal_name == "SIGINT" else parent.send_signal(getattr(signal, signal_name))
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not alive
    finally:
        os.killpg(parent.pid, signal.SIGKILL)
        parent.wait()


def test_cores_are_those_that_may_be_used() -> None:
    assert 1 <= parallel.cores() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.ENOSYS])
def test_where_processes_cannot_share_their_work_one_does_all_and_says_so(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A container may have no /dev/shm, or a full one."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("_multiprocessing.SemLock", fail)
    results = list(map_ordered(slow_for_even, range(5), workers=2))
    assert results == [(number, os.getpid()) for number in range(5)]
    assert capsys.readouterr().err == (
        f"one core works instead of 2, because /dev/shm cannot be written: {os.strerror(number)}\n"
    )
