"""From images to a registered model: every stage of dvc.yaml that is stale, in order."""

from __future__ import annotations

import os

from prefect import flow

from flows.runs import going_on
from flows.walk import walk
from pipelines.core import params, paths


@flow(name="retrain", persist_result=False)
def retrain(everything: bool = False) -> None:
    """ingest -> validate -> clean -> reference -> curate -> approval -> train -> evaluate -> register, skipping what is fresh.

    Args:
        everything: run fresh stages too.
    """
    os.chdir(paths.root())
    with going_on():
        walk(params.load(), everything)
