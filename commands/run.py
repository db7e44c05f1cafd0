"""genloop run: everything that is stale, from images to a registered model, which the gate then judges."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

from commands import summary
from pipelines.core import paths
from pipelines.promotion import decisions
from pipelines.settings.overlay import update_params
from pipelines.settings.schema import Params
from workspace.locks import alone
from workspace.staleness import pending


def run(overlays: Iterable[Path], settings: Iterable[str], everything: bool) -> None:
    here = Path.cwd()
    overlays = [overlay.resolve() for overlay in overlays]
    os.chdir(paths.root())
    signal.signal(signal.SIGTERM, interrupt)
    with alone():
        params = update_params(overlays, [from_root(setting, here) for setting in settings])
        work = [*pending(params, everything)] or ["promote"] * decisions.due(params)
        if work:
            say(f"to do: {', '.join(work)}; starting Prefect")
            walk(everything)
        else:
            catch_up(params)
        summary.show(params, ran=bool(work))


def walk(everything: bool) -> None:
    from flows.server import server  # only now: it takes seconds, which a run with nothing to do need not wait

    with server():
        from flows.retrain import retrain

        retrain(everything)


def catch_up(params: Params) -> None:
    """What a run that was killed at its end has left to do, which needs no Prefect."""
    from workspace import pushing, versioning

    if versioning.waiting(params):
        versioning.commit(params, say)
    pushing.push(params, say)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def from_root(setting: str, here: Path) -> str:
    """A path typed in another folder than the project's, as it is seen from there."""
    key, equals, value = setting.partition("=")
    local = value and "://" not in value and not Path(value).is_absolute()
    if here == paths.root() or not key.endswith(".path") or not local:
        return setting
    return f"{key}{equals}{os.path.relpath(here / value, paths.root())}"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
