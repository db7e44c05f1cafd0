"""The worker's process: it dies, hangs and leaves children behind, and no image is lost or wrong, and nothing is left."""

from __future__ import annotations

import ast
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.models import serve_sampler, worker
from pipelines.models.external import ExternalGenerator
from pipelines.models.serve_sampler import relatives
from pipelines.models.worker import RunningWorker, WorkerError
from tests.conftest import REPOSITORY
from tests.models.test_external import LABELS, SEEDS, draw_with
from tests.support import external_model
from tests.support.external_model import SAMPLER, expected

LIMITS = {"start": 30, "draw": 30, "memory_gb": 4}


def running(generator: ExternalGenerator) -> RunningWorker:
    generator.worker.describe()
    assert generator.worker.running is not None
    return generator.worker.running


def left(mark: str) -> list[int]:
    """Processes of a worker, after a moment in which they may end."""
    for _ in range(100):
        found = relatives(mark, -1)
        if not found:
            break
        time.sleep(0.02)
    return found


def runs(process: int) -> bool:
    """Whether it has not ended; nobody may have asked yet how it did."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def generator(tmp_path: Path) -> Iterator[Callable[..., ExternalGenerator]]:
    opened: list[ExternalGenerator] = []

    def build(code: str = SAMPLER, **limits: float) -> ExternalGenerator:
        folder = external_model.write(tmp_path / f"model-{len(opened)}", code, limits={**LIMITS, **limits})
        opened.append(ExternalGenerator(folder))
        return opened[-1]

    yield build
    for one in opened:
        one.close()


def kill_one(model: ExternalGenerator, after: float) -> None:
    """Kill the process that samples, or the one that guards it, so many seconds after it was started or asked."""
    while (found := model.worker.running) is None or not (victims := relatives(found.mark, -1)):
        time.sleep(0.001)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError):  # it was killed with the other one
        os.kill(victims[int(1000 * after) % len(victims)], signal.SIGKILL)


def test_another_python_does_not_look_for_packages_where_this_one_does() -> None:
    own = {"PYTHONPATH": "/genloop", "PYTHONHOME": "/usr", "VIRTUAL_ENV": "/genloop/.venv"}
    secrets = {"GENLOOP_API_KEYS": "k", "MLFLOW_TRACKING_PASSWORD": "p", "PREFECT_API_KEY": "k"}
    told = {"MINE": "m", "PATH": "/bin", **own, **secrets}
    assert worker.variables(told, "/other/bin/python") == {"MINE": "m", "PATH": "/other/bin:/bin"}
    same = worker.variables(told, sys.executable)
    assert same == {"MINE": "m", **own, "PATH": f"{Path(sys.executable).parent}:/bin"}


def test_killed_again_and_again_no_image_is_lost_or_wrong(generator: Callable[..., ExternalGenerator]) -> None:
    model = generator(draw_with("import time; time.sleep(0.1)"))
    for number, after in enumerate(np.random.default_rng(0).uniform(0, 0.09, 20)):
        seeds = 10 * number + np.arange(10)
        labels = (seeds % 3).astype(np.int32)
        if number % 3:  # else it is killed while it is loaded
            model.worker.describe()
        killer = threading.Thread(target=kill_one, args=(model, after))
        killer.start()
        assert np.array_equal(model.draw(seeds, labels), expected(seeds, labels))
        killer.join()
        model.close()  # on a busy machine it may have been killed only now


def test_killed_twice_in_one_call_is_said_and_the_next_call_is_right(generator: Callable[..., ExternalGenerator]) -> None:
    model = generator(draw_with("import time\nif len(seeds) == 5: time.sleep(20)"))
    for _ in range(2):
        mark = running(model).mark
        killers = [threading.Timer(0.2, kill_one, (model, 0.0)), threading.Timer(1.2, kill_one, (model, 0.0))]
        for killer in killers:
            killer.start()
        with pytest.raises(WorkerError, match="twice: killed by SIGKILL, as when the machine's memory is full"):
            model.draw(SEEDS, LABELS)
        for killer in killers:
            killer.join()
        assert left(mark) == []
        assert np.array_equal(model.draw(SEEDS[:2], LABELS[:2]), expected(SEEDS[:2], LABELS[:2]))


def test_a_call_that_hangs_and_one_that_eats_memory_are_ended(generator: Callable[..., ExternalGenerator]) -> None:
    hang = generator(draw_with("import time\nif len(seeds) == 5: print('waiting'); time.sleep(100)"), draw=0.6)
    began = time.monotonic()
    mark = running(hang).mark
    with pytest.raises(WorkerError, match=r"not done with `draw` after 0.6 s.*raise limits.draw.*waiting"):
        hang.draw(SEEDS, LABELS)
    assert time.monotonic() - began < 10
    assert left(mark) == []
    assert np.array_equal(hang.draw(SEEDS[:2], LABELS[:2]), expected(SEEDS[:2], LABELS[:2]))
    with pytest.raises(WorkerError, match=r"not loaded after 0.5 s.*limits.start"):
        generator("import time; time.sleep(100)", start=0.5).draw(SEEDS)
    hungry = generator(draw_with("import time; held = np.ones(2**26); time.sleep(20)"), memory_gb=0.3)
    with pytest.raises(WorkerError, match=r"held 0.\d GiB of memory, more than its limit of 0.3"):
        hungry.draw(SEEDS, LABELS)


def test_one_that_grows_from_call_to_call_is_started_anew(
    generator: Callable[..., ExternalGenerator], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipelines.models.worker.BETWEEN", 0.0)
    grows = draw_with("self.held = getattr(self, 'held', []) + [np.ones(2**22)]")
    model = generator(grows, memory_gb=0.5)
    marks = set()
    for _ in range(16):
        assert np.array_equal(model.draw(SEEDS, LABELS), expected(SEEDS, LABELS))
        marks.add(running(model).mark)
    assert len(marks) > 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == len(marks) - 1
    assert "after its first call, and is started anew; let it keep less from call to call" in said[0]


@pytest.mark.parametrize("when", ["when it is loaded", "at the first call"])
def test_one_that_is_large_from_the_beginning_is_kept(
    generator: Callable[..., ExternalGenerator], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    """About 0.43 of the 0.5 GiB that it may hold."""
    monkeypatch.setattr("pipelines.models.worker.BETWEEN", 0.0)
    held = "held = np.ones(50 * 2**20)\n"
    code = (
        SAMPLER.replace("class", f"{held}class")
        if when == "when it is loaded"
        else draw_with(f"global held\nif 'held' not in globals(): {held}")
    )
    model = generator(code, memory_gb=0.5)
    marks = set()
    for _ in range(4):
        assert np.array_equal(model.draw(SEEDS, LABELS), expected(SEEDS, LABELS))
        marks.add(running(model).mark)
    assert len(marks) == 1
    assert capsys.readouterr().err == ""


CHILDREN = """
import subprocess, sys
program = "import os, time; os.setsid(); os.fork(); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", program])
subprocess.Popen(["env", "-i", sys.executable, "-c", program])
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        import time; time.sleep(600)
    os._exit(0)
"""


def test_nothing_outlives_it(generator: Callable[..., ExternalGenerator]) -> None:
    model = generator(draw_with(CHILDREN))
    before = set(relatives("-", os.getpid()))
    found = running(model)
    model.draw(SEEDS, LABELS)
    time.sleep(0.5)  # they detach themselves
    family = relatives(found.mark, found.process.pid)
    assert len(family) >= 5
    assert Path(found.folder).is_dir()
    model.close()
    assert left(found.mark) == []
    assert [process for process in family if runs(process)] == []
    assert set(relatives("-", os.getpid())) <= before
    assert not Path(found.folder).exists()
    assert np.array_equal(model.draw(SEEDS, LABELS), expected(SEEDS, LABELS))


def test_it_ends_when_nobody_has_it_any_more(tmp_path: Path) -> None:
    """At once, without a search for garbage: the studio freezes what it has."""
    model = ExternalGenerator(external_model.write(tmp_path / "model"))
    mark = running(model).mark
    assert relatives(mark, -1)
    del model
    assert relatives(mark, -1) == []


def test_it_ends_with_a_process_that_is_killed(tmp_path: Path) -> None:
    """Busy or not, and its children with it; and a process that forgets to close it leaves nothing either."""
    code = draw_with(f"{CHILDREN}\nif len(seeds) == 1: import time; print('busy'); time.sleep(600)")
    folder = external_model.write(tmp_path / "model", code)
    program = (
        "import sys, pathlib\n"
        "from pipelines.models.external import ExternalGenerator\n"
        f"model = ExternalGenerator(pathlib.Path({str(folder)!r}))\n"
        "model.draw([1, 2])\n"
        "print(model.worker.running.mark, model.worker.running.folder, flush=True)\n"
        "if sys.argv[1] == 'busy': model.draw([1])\n"
        "if sys.argv[1] == 'idle': sys.stdin.read()\n"
    )
    for doing in ("busy", "idle", "ends"):
        process = subprocess.Popen(
            [sys.executable, "-c", program, doing], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        mark, temporary = process.stdout.readline().split()
        if doing != "ends":
            time.sleep(0.3)
            assert relatives(mark, -1)
            process.kill()
        process.communicate()
        assert left(mark) == [], doing
        for _ in range(50):
            if not Path(temporary).exists():
                break
            time.sleep(0.02)
        assert not Path(temporary).exists(), doing


def test_several_threads_ask_at_once(generator: Callable[..., ExternalGenerator]) -> None:
    model = generator()
    wrong: list[int] = []

    def ask(number: int) -> None:
        for turn in range(10):
            seeds = 100 * number + turn + np.arange(number + 1)
            labels = (seeds % 3).astype(np.int32)
            if not np.array_equal(model.draw(seeds, labels), expected(seeds, labels)):
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(relatives(running(model).mark, -1)) == 2


def test_it_is_not_told_what_is_genloop_s(generator: Callable[..., ExternalGenerator], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLOOP_SECRET_KEY", "secret")
    monkeypatch.setenv("OTHERS_KEY", "theirs")
    code = draw_with("labels = [2 * ('GENLOOP_SECRET_KEY' in os.environ) + ('OTHERS_KEY' in os.environ)] * len(seeds)")
    assert np.array_equal(generator(code).draw(SEEDS, LABELS), expected(SEEDS, np.ones(5, int)))


def test_its_program_is_one_for_older_pythons() -> None:
    """It runs in interpreters that are none of ours."""
    ast.parse(Path(serve_sampler.__file__).read_text(), feature_version=(3, 9))
