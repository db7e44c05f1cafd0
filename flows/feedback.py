"""What people say becomes data, and when there is enough of it, a new model."""

from __future__ import annotations

import os
import sys

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows import committing, program, pushing, terminal
from flows.promote import gate
from flows.runs import going_on, say
from flows.stage import begin, limited
from flows.walk import walk
from pipelines.core import params, paths
from pipelines.core.params import Params
from pipelines.feedback import curated, manifest


@flow(name="feedback", persist_result=False)
def feedback() -> None:
    """fold -> what `retrain` does, when `feedback.min_events` have come since it last did; the gate may hear of them sooner."""
    os.chdir(paths.root())
    with going_on():
        settings = params.load()
        limited(fold, "fold", settings.flow)
        if enough(settings):
            walk(settings)
        committing.commit(settings, say)
        gate(settings)
        pushing.push(settings, say)


@task(cache_policy=NO_CACHE, persist_result=False)
def fold() -> None:
    """In a process of its own: it may load a model to draw with, and a training that follows needs that memory."""
    program.run("fold", [sys.executable, "-m", "genloop", "fold"], begin("fold"))


def enough(settings: Params) -> bool:
    """Whether so much waits to be learned from that it is worth a training; which, is said."""
    count, least = waiting(), settings.feedback.min_events
    words = f"{count:,} folded {'event waits' if count == 1 else 'events wait'} to be learned from"
    words += ": training" if count >= least else f"; training begins at feedback.min_events = {least:,}"
    terminal.show(f"── {words}\n".encode())
    get_run_logger().info(words)
    return count >= least


def waiting() -> int:
    """Folded events that `curate` has not read yet."""
    known = curated.read_about(paths.CURATED).batches if (paths.CURATED / "about.json").is_file() else []
    return manifest.read().beyond(known)
