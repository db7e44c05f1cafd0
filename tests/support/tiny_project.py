"""A tiny project: real DVC over a graph of small scripts, and an eye on every process that is started in it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from pipelines.core.project import Project

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPT = """
from pathlib import Path
import os, sys, time
from pipelines.core.errors import GenloopError, InputError
from pipelines.stage import main

def run(project, params):
{code}
    Path("{name}.txt").write_text("made by {name}")

main(run)
"""


class Tiny:
    """A project in a folder, and every process that was started in it."""

    def __init__(self, folder: Path, server: dict[str, str]) -> None:
        self.folder = folder
        self.mark = uuid.uuid4().hex
        self.environment = {**os.environ, **server, "TINY_PROJECT": self.mark, "PYTHONPATH": str(REPOSITORY)}
        self.started: list[subprocess.Popen[str]] = []

    @property
    def project(self) -> Project:
        return Project(self.folder, self.environment)

    def graph(self, **stages: str) -> None:
        """Stages in a chain, each a script with the given code, each making NAME.txt."""
        lines = ["stages:"]
        before = ""
        for name, code in stages.items():
            script = SCRIPT.format(name=name, code=textwrap.indent(textwrap.dedent(code).strip(), "    "))
            (self.folder / f"{name}.py").write_text(script)
            deps = ", ".join(filter(None, [f"{name}.py", before]))
            lines.append(f"  {name}: {{cmd: python {name}.py, deps: [{deps}], outs: [{name}.txt]}}")
            before = f"{name}.txt"
        (self.folder / "dvc.yaml").write_text("\n".join(lines) + "\n")

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Python with these arguments, in the project's folder."""
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment,
            text=True,
            **{"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )
        self.started.append(process)
        return process

    def genloop(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        return self.start("-m", "genloop", *arguments, **options)

    def ran(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        process = self.genloop(*arguments)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def processes(self) -> list[psutil.Process]:
        """All that came of what was started here, wherever they are in the process tree by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("TINY_PROJECT") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.AccessDenied, psutil.NoSuchProcess):
                continue
        return found

    def named(self, words: str) -> psutil.Process:
        """The one whose command line holds `words`; waits for it."""
        return until(lambda: next((p for p in self.processes() if words in " ".join(command(p))), None))

    def nothing_left(self, within: float = 60) -> None:
        until(lambda: not self.processes(), within, lambda: str([command(p) for p in self.processes()]))


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def until(true: Callable[[], Any], seconds: float = 120, say: Callable[[], str] = lambda: "") -> Any:
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, f"not within {seconds} s: {say()}"
        time.sleep(0.05)
    return found
