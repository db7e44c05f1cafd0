"""From images to a registered model, and to the champion if it proves to be better: every stage that is stale, in order."""

from __future__ import annotations

import os

from prefect import flow

from flows import committing, pushing
from flows.promote import gate
from flows.runs import going_on, say
from flows.walk import walk
from pipelines.core import params, paths


@flow(name="retrain", persist_result=False)
def retrain(everything: bool = False) -> None:
    """ingest -> validate -> clean -> reference -> curate -> approval -> train -> evaluate -> register, skipping what is fresh.

    Then what DVC has recorded is committed, and the gate judges the new version.

    Args:
        everything: run fresh stages too.
    """
    os.chdir(paths.root())
    with going_on():
        settings = params.load()
        walk(settings, everything)
        committing.commit(settings, say)
        gate(settings)
        pushing.push(settings, say)
