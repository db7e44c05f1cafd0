"""The task `measure`, at the end of runs: drift of what came in, for `genloop status`, the studio's /metrics and alerts."""

from __future__ import annotations

import sys

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.run_lifecycle import announce
from flows.tasks import log_start, run_limited
from operations import drift
from pipelines.core.project import Project
from pipelines.settings.schema import Params
from workspace import processes


def measure_if_due(project: Project, params: Params) -> None:
    """Measure, where something has changed since the last time. Where that fails, the run has done its work all the same."""
    try:
        if drift.is_due(project):
            run_limited(measure, "measure", params.flow, project)
    except Exception as error:
        announce(f"drift is not known: {project.shorten(str(error))}")


@task(cache_policy=NO_CACHE, persist_result=False)
def measure(project: Project) -> None:
    """In a process of its own: it may load Keras, and the process of the flow lives on."""
    processes.run(project, "measure", [sys.executable, "-m", "operations.measurements"], log_start("measure"))
