"""python -m flows.schedules: the flows on the crons of params.yaml, or when asked, for as long as this process lives.

Prefect keeps the time and starts a process for each run, one at a time; it asks nobody anything. What was missed while nobody
served, or while another run took long, is not made up for: the next run does all that there is to do.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from filelock import FileLock, Timeout
from prefect import Flow
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.schedules import Schedule as Often
from prefect.server.schemas.schedules import CronSchedule
from prefect.types.entrypoint import EntrypointType

from flows import run_lifecycle
from flows.feedback import feedback
from flows.promote import promote
from flows.retrain import retrain
from flows.server import server
from pipelines.core import paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.load import load_params
from pipelines.settings.schema import Schedule

SCHEDULED: dict[str, Flow[..., None]] = {"retrain": retrain, "feedback": feedback}
LOCK = paths.LOGS / "schedules.lock"


class Server(Runner):
    """Prefect's runner, which ends on SIGTERM as on Ctrl-C: having ended first what it has started."""

    def handle_sigterm(self, *_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGINT)


def main(arguments: Sequence[str] | None = None) -> None:
    argparse.ArgumentParser(prog="python -m flows.schedules", description=__doc__).parse_args(arguments)
    os.chdir(paths.root())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what a script starts in the background
    # Not as Ctrl-C: where that comes amid code made at run time, Python ends as killed by it, caught or not.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        serve(load_params().schedule)
    except (KeyboardInterrupt, SystemExit):
        say("schedules: stopped")
    except GenloopError as error:
        say(f"schedules: {error}")
        sys.exit(error.exit_code)


def serve(schedule: Schedule) -> None:
    """Until Ctrl-C or SIGTERM.

    Raises:
        InputError: a cron is none, or there is nothing to serve.
        GenloopError: this project's schedules are served already, or Prefect's server does not start, or went away.
    """
    crons = {name: cron for name in SCHEDULED if (cron := getattr(schedule, name)) is not None}
    if not crons:
        raise InputError(f"{paths.PARAMS}: schedule.retrain and schedule.feedback are null, so there is nothing to serve")
    first = {name: following(name, cron, schedule.timezone) for name, cron in crons.items()}
    with only(), server():
        os.environ[run_lifecycle.SERVER] = str(os.getpid())
        runner = Server(name="genloop", limit=1)
        deployments = [deployment(SCHEDULED[name], Cron(cron, timezone=schedule.timezone)) for name, cron in crons.items()]
        served: list[Any] = [runner.add_deployment(made) for made in (*deployments, deployment(promote))]
        run_lifecycle.reap(served)
        run_lifecycle.drop_missed(served)
        for name, at in first.items():
            say(f"{name:<8}  next at {at:%Y-%m-%d %H:%M} {schedule.timezone} ({crons[name]})")
        say("promote   when asked, on Prefect's page or by a run that needs a person's yes")
        say("Ctrl-C ends this, and what it has started")
        try:
            asyncio.run(runner.start())
        except KeyboardInterrupt:
            with suppress(httpx.HTTPError):
                run_lifecycle.reap(served)  # the runner has killed what went on, and told nobody
            raise
        except Exception as error:
            raise GenloopError(f"Prefect's server does not answer any more ({error}); start the schedules again") from error


def following(name: str, cron: str, zone: str) -> datetime:
    """When the cron comes next."""
    try:
        (at,) = asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(1))
    except ValueError as error:  # pydantic's and croniter's are such
        last = str(error).strip().splitlines()[-1]
        raise InputError(f"{paths.PARAMS}: schedule.{name}: {cron!r} is no cron line that ever comes ({last})") from None
    return at.astimezone(ZoneInfo(zone))


def deployment(flow: Flow[..., None], often: Often | None = None) -> RunnerDeployment:
    # Paused is what it was left as when it was last served.
    made = flow.to_deployment(run_lifecycle.project(), schedule=often, paused=False, entrypoint_type=EntrypointType.MODULE_PATH)
    assert isinstance(made, RunnerDeployment)  # a coroutine only where a loop is running
    return made


@contextmanager
def only() -> Iterator[None]:
    """The one that serves this project."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(LOCK, timeout=0).acquire()
    except Timeout:
        raise GenloopError("this project's schedules are served already, by another process") from None
    with lock:
        yield


def say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
