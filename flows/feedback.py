"""What people say becomes data, and when there is enough of it, a new model."""

from __future__ import annotations

import json
import os
import sys

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.promote import gate
from flows.retrain import walk
from flows.run_lifecycle import going_on, say
from flows.tasks import begin, limited
from pipelines.core import paths
from pipelines.feedback import curated
from pipelines.feedback.sealed import manifest
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from workspace import dvc, processes, pushing, terminal, versioning


@flow(name="feedback", persist_result=False)
def feedback() -> None:
    """fold -> what `retrain` does, when `feedback.min_events` have come since it last did; the gate may hear of them sooner."""
    os.chdir(paths.root())
    with going_on():
        params = load_params()
        limited(fold, "fold", params.flow)
        if enough(params):
            walk(params)
        versioning.commit(params, say)
        gate(params)
        pushing.push(params, say)


@task(cache_policy=NO_CACHE, persist_result=False)
def fold() -> None:
    """In a process of its own: it may load a model to draw with, and a training that follows needs that memory."""
    processes.run("fold", [sys.executable, "-m", "genloop", "fold"], begin("fold"))


def enough(params: Params) -> bool:
    """Whether so much waits to be learned from that it is worth a training; which, is said."""
    count, least = waiting(), params.feedback.min_events
    words = f"{count:,} folded {'event waits' if count == 1 else 'events wait'} to be learned from"
    words += ": training" if count >= least else f"; training begins at feedback.min_events = {least:,}"
    terminal.show(f"── {words}\n".encode())
    get_run_logger().info(words)
    return count >= least


def waiting() -> int:
    """Folded events that no training has learned from yet; `forget` lets `curate` read them as well, and trains nothing."""
    read = curated.read_about(paths.CURATED).batches if (paths.CURATED / "about.json").is_file() else []
    learned = trained_on()
    # Where `curate` made of new events what it had made before, no training was due, and none has anything to learn from them.
    if learned is not None and set(learned) != set(read) and dvc.status().get("train") != "fresh":
        read = learned
    return manifest.read().beyond(read)


def trained_on() -> list[str] | None:
    """Batches that the last training has learned from, if there was one."""
    report = paths.REPORTS / "train.json"
    found: list[str] | None = json.loads(report.read_text(encoding="utf-8")).get("folds") if report.is_file() else None
    return found
