"""The project's flows as Prefect deployments, and the process that runs them on schedule."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from prefect import Flow, get_client
from prefect.deployments.runner import RunnerDeployment
from prefect.runner import Runner
from prefect.schedules import Cron
from prefect.schedules import Schedule as PrefectSchedule
from prefect.server.schemas.schedules import CronSchedule
from prefect.types.entrypoint import EntrypointType

from flows import recovery, run_lifecycle
from flows.feedback import feedback
from flows.promote import promote
from flows.retrain import retrain
from flows.server import server
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.settings.schema import ScheduleParams
from workspace import locks

SCHEDULED: dict[str, Flow[..., None]] = {"retrain": retrain, "feedback": feedback}


class StoppableRunner(Runner):
    """Prefect's runner, which on SIGTERM, as on Ctrl-C, first ends the runs that it has started."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Prefect's own choice is one folder for all users, in which only the first of them may write.
        self.temporary = TemporaryFolder()
        self._tmp_dir = Path(self.temporary.name)

    def handle_sigterm(self, *_: Any, **__: Any) -> None:
        signal.raise_signal(signal.SIGINT)


def serve(project: Project, schedule: ScheduleParams) -> None:
    """Run the project's flows on schedule until Ctrl-C or SIGTERM."""
    crons = {name: cron for name in SCHEDULED if (cron := getattr(schedule, name)) is not None}
    if not crons:
        raise InputError(
            f"{project.params_file.name}: schedule.retrain and schedule.feedback are null, so there is nothing to serve"
        )
    first = {name: next_time(project, name, cron, schedule.timezone) for name, cron in crons.items()}
    served_already = "this project's schedules are served already, by another process"
    with locks.hold(project.logs / "schedules.lock", served_already), server(project):
        runner = StoppableRunner(name="genloop", limit=1)
        deployments = [
            deployment(project, SCHEDULED[name], Cron(cron, timezone=schedule.timezone)) for name, cron in crons.items()
        ]
        served: list[Any] = [runner.add_deployment(found) for found in (*deployments, deployment(project, promote))]
        recovery.mark_crashed(project, served)
        run_lifecycle.drop_missed(served)
        with get_client(sync_client=True) as client:
            recovery.rerun(client, served)
        for name, at in first.items():
            say(f"{name:<8}  next at {at:%Y-%m-%d %H:%M} {schedule.timezone} ({crons[name]})")
        say("promote   on request, from Prefect's page or by a run that needs a person's approval")
        say("Ctrl-C ends this and the runs that it has started")
        try:
            asyncio.run(runner.start())
        except KeyboardInterrupt:
            with suppress(httpx.HTTPError):
                recovery.mark_crashed(project, served)  # the runner kills its runs without telling Prefect
            raise
        except Exception as error:
            raise GenloopError(f"Prefect's server does not answer any more ({error}); start the schedules again") from error


def next_time(project: Project, name: str, cron: str, zone: str) -> datetime:
    """The next time of a cron line. InputError where it has none."""
    try:
        (at,) = asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(1))
    except ValueError as error:  # pydantic's and croniter's are such
        last = str(error).strip().splitlines()[-1]
        raise InputError(
            f"{project.params_file.name}: schedule.{name}: {cron!r} is no cron line with a next time ({last})"
        ) from None
    return at.astimezone(ZoneInfo(zone))


def deployment(project: Project, flow: Flow[..., None], schedule: PrefectSchedule | None = None) -> RunnerDeployment:
    found = flow.to_deployment(
        run_lifecycle.deployment_name(project),
        parameters={"project": str(project.root)},
        schedule=schedule,
        paused=False,  # the last server paused it when it ended
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    assert isinstance(found, RunnerDeployment)  # a coroutine only where a loop is running
    return found
