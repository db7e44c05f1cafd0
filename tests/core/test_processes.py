"""A program's standard streams may be closed, end early or be full; its threads are those that it may use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.core import processes
from tests.conftest import REPOSITORY


@pytest.fixture
def program(tmp_path: Path) -> str:
    """The command `genloop`, in a project without stages."""
    (tmp_path / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    (tmp_path / "dvc.yaml").write_text("stages: {}\n")
    return f"cd {tmp_path}; PYTHONPATH={REPOSITORY} {sys.executable} -m genloop"


def shell(line: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of a line of bash."""
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, errors="replace", check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("redirection", "code", "error"),
    [
        ("> /dev/full", 1, "genloop: the disk is full; make room and run again\n"),
        ("| true; exit ${PIPESTATUS[0]}", 1, ""),  # what reads has had enough, as `head` has
        (">&-", 0, ""),
        ("<&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
    ],
)
def test_an_output_that_nobody_takes_is_no_traceback(program: str, redirection: str, code: int, error: str) -> None:
    found, _, err = shell(f"{program} history {redirection}")
    assert (found, err) == (code, error)


def test_a_file_that_is_opened_later_never_becomes_stdout_or_stderr(tmp_path: Path) -> None:
    line = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from pipelines.core import processes; processes.open_standard_streams()\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w'); print('out'); print('err', file=sys.stderr)\n"
        "sys.exit(file.fileno())"
    )
    assert shell(f'{sys.executable} -c "{line}" <&- >&- 2>&-')[0] == 3
    assert (tmp_path / "file").read_text() == ""


def test_a_name_that_is_no_text_can_be_printed() -> None:
    line = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r}); from pipelines.core import processes\n"
        "processes.open_standard_streams(); print(chr(0x2500), chr(0xdcff))"
    )
    for variables in ("LC_ALL=C.UTF-8", "PYTHONIOENCODING=ascii", "LC_ALL=C", "LC_ALL=POSIX PYTHONUTF8=0"):
        code, _, err = shell(f'{variables} {sys.executable} -c "{line}"')
        assert (variables, code, err) == (variables, 0, "")


def test_tensorflow_gets_as_many_threads_as_the_quota_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(os, "environ", {"HOME": "/", "PATH": ""})
    monkeypatch.setattr(processes, "cores", lambda: 8)
    processes.set_defaults()
    assert "TF_NUM_INTRAOP_THREADS" not in os.environ
    monkeypatch.setattr(processes, "cores", lambda: 3)
    processes.set_defaults()
    assert os.environ["TF_NUM_INTRAOP_THREADS"] == "3"
