"""The flow `retrain`: runs every stale stage in order, and promotes the new version if the gate finds it better."""

from __future__ import annotations

from prefect import flow

from flows.artifacts import show_results
from flows.promote import gate
from flows.run_lifecycle import announce, exclusive_run
from flows.tasks import run_stage
from operations import versioning
from operations.staleness import stale_stages
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from workspace import dvc


@flow(name="retrain", persist_result=False)
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


def run_stages(project: Project, params: Params, registry: Registry, everything: bool = False) -> None:
    """Run what is stale, or everything, in the flow that calls this."""
    for name in dvc.stages(project):
        # Found out anew each time: a stage whose output did not change leaves the stages after it fresh.
        work = stale_stages(project, params, registry, everything)
        if name in work:
            run_stage(project, name, params.flow, force=work[name])
        else:
            say(f"── {name}: nothing new")
    show_results(project)
