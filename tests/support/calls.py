"""The `genloop` command as a user calls it, in this process, for a project that is not the working directory's."""

from __future__ import annotations

from dataclasses import dataclass

from typer.testing import CliRunner

import genloop
from pipelines.core.project import Project


@dataclass(frozen=True)
class Called:
    """What a command ended with and printed."""

    code: int
    out: str
    err: str


def call(project: Project, command: str, *arguments: str) -> Called:
    environment = {"COLUMNS": "200", **project.environment}
    given = [command, "--project", str(project.root), *arguments]
    result = CliRunner().invoke(genloop.app, given, env=environment)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return Called(result.exit_code, result.stdout, result.stderr)
