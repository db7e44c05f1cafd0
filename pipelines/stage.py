"""The start and the end of a stage: it dies with its parent, and ends with a message and an exit code where it fails."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from pipelines.core.errors import GenloopError
from pipelines.core.processes import die_with_parent, open_standard_streams, set_defaults
from pipelines.core.project import Project
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params


def main(run: Callable[[Project, Params], None]) -> NoReturn:
    """Run one stage of the project that the working directory is in, and exit: 0 done, 1 failed, 2 unusable input."""
    name = os.path.basename(sys.argv[0]).removesuffix(".py")
    die_with_parent()
    open_standard_streams()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    shorten: Callable[[str], str] = str
    try:
        set_defaults()
        project = Project.find()
        shorten = project.shorten
        run(project, load_params(project.params_file))
    except BaseException as error:
        sys.exit(report(name, error, shorten))
    sys.exit(0)


def report(program: str, error: BaseException, shorten: Callable[[str], str] = str) -> int:
    """Print an error as one line on stderr and return the exit code; a bug of Genloop is raised again, for its traceback."""
    message, code = explain(error)
    if message is None:
        raise error
    sys.stdout.flush()
    print(f"{program}: {shorten(message)}", file=sys.stderr)
    return code


def explain(error: BaseException) -> tuple[str | None, int]:
    """The message for the user, and the exit code; None where it is our own mistake, which needs its traceback."""
    if isinstance(error, GenloopError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; what was there before is untouched, run again to go on", 1
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full{f' ({error.filename})' if error.filename else ''}; make room and run again", 1
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return f"{error.filename or 'a file'} is on a read-only file system; a project has to be where files can be written", 1
    if isinstance(error, PermissionError):
        return f"no permission for {error.filename}; change its owner or mode and run again", 1
    return None, 1
