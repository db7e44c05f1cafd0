"""From images to a registered model, and to the champion if it proves to be better: every stage that is stale, in order."""

from __future__ import annotations

import os

from prefect import flow

from flows.artifacts import show_results
from flows.promote import gate
from flows.run_lifecycle import going_on, say
from flows.tasks import run_stage
from pipelines.core import paths
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from workspace import dvc, pushing, terminal, versioning
from workspace.staleness import pending


@flow(name="retrain", persist_result=False)
def retrain(everything: bool = False) -> None:
    """ingest -> validate -> clean -> reference -> curate -> approval -> train -> evaluate -> register, skipping what is fresh.

    Then what DVC has recorded is committed, and the gate judges the new version.

    Args:
        everything: run fresh stages too.
    """
    os.chdir(paths.root())
    with going_on():
        params = load_params()
        walk(params, everything)
        versioning.commit(params, say)
        gate(params)
        pushing.push(params, say)


def walk(params: Params, everything: bool = False) -> None:
    """Run what is stale, in the flow that calls this.

    Args:
        everything: run fresh stages too.
    """
    for name in dvc.stages():
        # Asked anew each time: a stage that made the same as before leaves those after it fresh.
        work = pending(params, everything)
        if name in work:
            run_stage(name, params.flow, force=work[name])
        else:
            terminal.show(f"── {name}: nothing new\n".encode())
    show_results()
