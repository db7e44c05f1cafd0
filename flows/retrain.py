"""The flow `retrain`: runs every stale stage in order, and promotes the new version if the gate finds it better."""

from __future__ import annotations

from prefect import flow, get_run_logger

from flows.artifacts import show_results
from flows.measurements import measure_if_due
from flows.promote import gate
from flows.recovery import rerun_crashed_run
from flows.run_lifecycle import announce, exclusive_run
from flows.tasks import run_stage
from operations import preflight, versioning
from operations.preflight import RunPlan
from operations.staleness import stale_stages
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from workspace import dvc


@flow(name="retrain", persist_result=False, on_crashed=[rerun_crashed_run])
def retrain(everything: bool = False, project: str | None = None) -> None:
    """ingest -> validate -> clean -> reference -> curate -> approval -> train -> evaluate -> register, skipping what is fresh.

    Then what DVC has recorded is committed, and the gate judges the new version.

    Args:
        everything: run fresh stages too.
        project: a folder in the project; by default the working directory.
    """
    with exclusive_run(project) as (found, params, registry):
        run_stages(found, params, registry, everything)
        versioning.commit(found, params, registry, announce)
        gate(found, params, registry)
        versioning.push(found, params, announce)
        measure_if_due(found, params)


def run_stages(project: Project, params: Params, registry: Registry, everything: bool = False) -> None:
    """Run what is stale, or everything, in the flow that calls this. Raises InputError first where that cannot succeed."""
    names = dvc.stages(project)
    for position, name in enumerate(names):
        # Found out anew each time: a stage whose output did not change leaves the stages after it fresh.
        work = stale_stages(project, params, registry, everything)
        # And so is what can be known before a stage runs: `clean` makes known how many rows there are. Warnings come once.
        ahead = [later for later in names[position:] if later in work]
        preflight.require(RunPlan(project, params, registry, ahead), None if position else get_run_logger().warning)
        if name in work:
            run_stage(project, name, params.flow, force=work[name])
        else:
            say(f"── {name}: nothing new")
    show_results(project)
