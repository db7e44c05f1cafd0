"""No stage outlives what started it, whatever is killed; and what a stage says arrives."""

from __future__ import annotations

import os
import pty
import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.tiny_project import Tiny, command, until

STAGE = """
from pipelines.core.project import Project
from workspace.stages import StageError, repro
repro(Project.find(), 'one', False, lambda line: print('log:', line))
"""
SLEEPS = "print('started', flush=True); time.sleep(600)"
TARGETS = ("starter", "supervisor", "dvc", "stage")


def target(tiny: Tiny, name: str) -> psutil.Process:
    stage = tiny.named("python one.py")  # the others are there when the stage is
    starter = psutil.Process(tiny.started[0].pid)
    (supervisor,) = starter.children()
    (dvc,) = supervisor.children()
    return {"starter": starter, "supervisor": supervisor, "dvc": dvc, "stage": stage}[name]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["TERM", "KILL"])
@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_left_when_one_is_killed(tiny: Tiny, name: str, number: signal.Signals) -> None:
    tiny.graph(one=SLEEPS)
    tiny.start("-c", STAGE)
    target(tiny, name).send_signal(number)
    tiny.nothing_left()


MOMENTS: dict[str, Callable[[Tiny, psutil.Process], object]] = {
    "the supervisor has started": lambda tiny, supervisor: True,
    "it has started DVC": lambda tiny, supervisor: supervisor.children(),
    "DVC has read the graph": lambda tiny, supervisor: (tiny.folder / ".dvc/tmp/lock").exists(),
    "DVC runs the stage": lambda tiny, supervisor: "one.py" in text(tiny.folder / ".dvc/tmp/rwlock"),
    "the stage has started": lambda tiny, supervisor: any("one.py" in command(process) for process in tiny.processes()),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_nothing_is_left_when_the_starter_is_killed_while_a_stage_is_starting(tiny: Tiny, moment: str) -> None:
    tiny.graph(one=SLEEPS)
    process = tiny.start("-c", STAGE)
    supervisor = tiny.named("supervisor.py")
    until(lambda: MOMENTS[moment](tiny, supervisor))
    process.kill()
    tiny.nothing_left()


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_child_that_a_stage_left_behind_is_ended(tiny: Tiny) -> None:
    tiny.graph(one="import subprocess; subprocess.Popen(['sleep', '600'])")
    process = tiny.start("-c", STAGE)
    assert process.wait(timeout=120) == 0
    tiny.nothing_left()


def test_ctrl_c_leaves_nothing(tiny: Tiny) -> None:
    tiny.graph(one=SLEEPS)
    process = tiny.start("-c", STAGE)
    tiny.named("python one.py")
    process.send_signal(signal.SIGINT)
    tiny.nothing_left()


def test_what_a_stage_says_arrives_as_it_comes_and_without_dvcs_chatter(tiny: Tiny) -> None:
    tiny.graph(one="print('first', flush=True); time.sleep(2); print('second', file=sys.stderr)")
    process = tiny.start("-c", STAGE)
    assert process.stderr is not None
    assert process.stdout is not None
    assert process.stderr.readline() == "first\n"
    first = time.monotonic()
    assert process.stderr.readline() == "second\n"
    assert time.monotonic() - first > 1
    assert process.stderr.read() == ""
    assert process.stdout.read().splitlines() == ["log: first", "log: second"]


def test_on_a_terminal_a_bar_is_a_bar_and_the_log_has_its_last_state(tiny: Tiny) -> None:
    code = """
    assert sys.stderr.isatty()
    assert os.get_terminal_size(2).columns == 80
    for step in range(3):
        print(f"\\\\r{step} of 3", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    """
    tiny.graph(one=code.replace("\\\\", "\\"))
    ours, theirs = pty.openpty()
    process = tiny.start("-c", STAGE, stderr=theirs)
    os.close(theirs)
    out, _ = process.communicate(timeout=120)
    assert b"0 of 3\r1 of 3\r2 of 3" in os.read(ours, 10000)
    os.close(ours)
    assert out.splitlines() == ["log: 2 of 3"]


@pytest.mark.parametrize(
    ("code", "words", "status"),
    [
        ("raise InputError('the folder is empty')", "one: stopped with exit code 2, for the reason above", 2),
        ("raise GenloopError('the network is down')", "one: stopped with exit code 1, for the reason above", 1),
        ("os.kill(os.getpid(), 9)", "one: killed by SIGKILL; the memory may have been full", 1),
    ],
)
def test_how_a_stage_ended_is_known(tiny: Tiny, code: str, words: str, status: int) -> None:
    tiny.graph(one=code)
    caught = f"""
try:
{textwrap.indent(STAGE, "    ")}
except StageError as error:
    print(error); print(error.exit_code)
"""
    out, _ = tiny.start("-c", caught).communicate(timeout=120)
    assert out.splitlines()[-2:] == [words, str(status)]


def test_what_dvc_says_is_told_where_the_stage_never_ran(tiny: Tiny) -> None:
    tiny.graph(one="pass")
    (tiny.folder / "one.py").unlink()
    _, err = tiny.start("-c", STAGE).communicate(timeout=120)
    assert "StageError: one: [Errno 2] No such file or directory" in err


def test_a_later_run_heals_what_a_killed_one_left(tiny: Tiny) -> None:
    tiny.graph(one="time.sleep(600 if not Path('again').exists() else 0)")
    first = tiny.start("-c", STAGE)
    tiny.named("python one.py")
    first.kill()
    tiny.nothing_left()
    (tiny.folder / "again").touch()
    assert tiny.start("-c", STAGE).wait(timeout=120) == 0
    until(lambda: (tiny.folder / "one.txt").is_file(), 90)
