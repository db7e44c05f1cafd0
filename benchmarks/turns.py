"""Processes that train by turns, so that what else the machine does slows all of them alike.

Each prints a line when it is ready. For each line of input it trains a while and answers with images a second; when its input
ends, it prints the rest as JSON.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from benchmarks import workspace


class Turns:
    def __init__(self, command: Sequence[str | Path], folder: Path = workspace.REPOSITORY) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 it is closed with the process
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        self.process = subprocess.Popen(command, cwd=folder, text=True, **pipes)
        self.read()

    def read(self) -> str:
        line: str = self.process.stdout.readline()  # type: ignore[union-attr]
        if not line:
            code = self.process.wait()
            self.errors.seek(0)
            raise RuntimeError(self.errors.read()[-4000:] or f"ended with {code}")
        return line

    def take(self) -> float:
        """Images a second of one more turn."""
        self.process.stdin.write("\n")  # type: ignore[union-attr]
        self.process.stdin.flush()  # type: ignore[union-attr]
        return float(self.read())

    def end(self) -> dict[str, float]:
        self.process.stdin.close()  # type: ignore[union-attr]
        found: dict[str, float] = json.loads(self.read())
        self.process.wait()
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.errors.close()


def run_alone(command: Sequence[str | Path], rounds: int) -> dict[str, float]:
    """The figures that it prints at the end, and as `train` images a second of its best turn."""
    with Turns(command) as turns:
        rates = [turns.take() for _ in range(rounds)]
        return {**turns.end(), "train": max(rates)}
