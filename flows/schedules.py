"""python -m flows.schedules: runs the flows on the crons of params.yaml, or on request, as long as this process lives.

Prefect starts a process for each run, one at a time, and asks no questions. Runs that were missed while nothing served them, or
while another run took long, are dropped: the next run does all that is stale. One that was killed is run again.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from pipelines.core.errors import GenloopError
from pipelines.core.processes import set_defaults
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.settings.load import load_params


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.schedules", description=__doc__)
    parser.add_argument("--project", type=Path, metavar="DIR", help="a folder of the project; by default the working directory")
    folder = parser.parse_args(arguments).project
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a script starts in the background
    # Not KeyboardInterrupt: inside generated code Python dies of that one even where it is caught.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    project = None
    try:
        set_defaults()
        from flows.deployments import serve  # only now: Prefect reads the environment when it is imported
        from flows.run_lifecycle import SERVED_BY
        from flows.server import OWN_SERVER, is_configured

        os.environ[SERVED_BY] = str(os.getpid())  # Prefect's runner passes these to the runs that it starts
        os.environ[OWN_SERVER] = "" if is_configured() else "1"
        project = Project.find(folder)
        serve(project, load_params(project.params_file).schedule)
    except (KeyboardInterrupt, SystemExit):
        say("schedules: stopped")
    except GenloopError as error:
        say(f"schedules: {project.shorten(str(error)) if project else error}")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
