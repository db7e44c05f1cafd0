"""A stage and a command end with a message where the machine, not Genloop, is at fault."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines import stage
from pipelines.core.errors import GenloopError, InputError
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(
    ("error", "message", "code"),
    [
        (
            OSError(errno.EROFS, "Read-only file system", "/p/logs"),
            "/p/logs is on a read-only file system; a project has to",
            1,
        ),
        (OSError(errno.EROFS, "Read-only file system"), "a file is on a read-only file system; a project has", 1),
        (
            PermissionError(errno.EACCES, "Permission denied", "/p/logs"),
            "no permission for /p/logs; change its owner or mode",
            1,
        ),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/p/x"), "the disk is full (/p/x); make room and run again", 1),
        (InputError("the folder is empty"), "the folder is empty", 2),
        (GenloopError("it does not answer"), "it does not answer", 1),
    ],
)
def test_an_error_of_the_machine_is_a_message(error: BaseException, message: str, code: int) -> None:
    found, exit_code = stage.explain(error)
    assert (found or "").startswith(message)
    assert exit_code == code


def test_a_mistake_of_our_own_keeps_its_traceback() -> None:
    assert stage.explain(ValueError("no such thing")) == (None, 1)


@pytest.mark.parametrize("program", ["genloop.main()", "sys.argv = ['train.py']; stage.main(lambda project, params: None)"])
def test_where_no_folder_can_be_written_a_command_and_a_stage_say_what_to_set(tmp_path: Path, program: str) -> None:
    code = f"""
import sys, tempfile
def none():
    raise FileNotFoundError("No usable temporary directory found")
tempfile.gettempdir = none
import genloop
from pipelines import stage
{program}
"""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "HOME": "/proc"}
    done = subprocess.run(
        [sys.executable, "-c", code, "history"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    name = "genloop" if "genloop" in program else "train"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{name}: no folder for temporary files can be written; set TMPDIR to one that can\n"
