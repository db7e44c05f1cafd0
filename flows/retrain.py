"""From images to a registered model: every stage of dvc.yaml that is stale, in order."""

from __future__ import annotations

import os

from prefect import flow

from flows import graph, terminal
from flows.page import show_results
from flows.pending import pending
from flows.stage import run_stage
from flows.turn import alone
from pipelines.core import params, paths


@flow(name="retrain", persist_result=False)
def retrain(everything: bool = False) -> None:
    """ingest -> validate -> clean -> reference -> train -> evaluate -> register, skipping what is fresh.

    Args:
        everything: run fresh stages too.
    """
    os.chdir(paths.root())
    with alone():
        settings = params.load()
        for name in graph.stages():
            # Asked anew each time: a stage that made the same as before leaves those after it fresh.
            work = pending(settings, everything)
            if name in work:
                run_stage(name, settings.flow, force=work[name])
            else:
                terminal.show(f"── {name}: nothing new\n".encode())
        show_results()
