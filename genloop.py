"""The `genloop` command. Exit codes: 0 done, 1 failed, 2 unusable input, 3 not promoted by the gate."""

from __future__ import annotations

import signal
import sys

# isort: off
# In the order in which --help lists them.
from commands import run, generate, score, import_feedback, fold, promote, rollback, history, rebuild  # noqa: F401
from commands import pull, up, studio, why, influence, forget, tune, simulate, model, gc, backup, restore, status, doctor  # noqa: F401
# isort: on

from commands.app import app
from pipelines.core import processes
from pipelines.core.errors import InputError


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    processes.open_standard_streams()
    signal.signal(signal.SIGTERM, interrupt)
    try:
        processes.set_defaults()
        app()
    except InputError as error:
        print(f"genloop: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except SystemExit as end:
        if end.code != 130:  # Typer ends so, without a message, when Ctrl-C comes before a command has begun
            raise
        print("genloop: interrupted", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
