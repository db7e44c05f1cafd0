"""The flow `feedback`: folds new events, and trains a model when there are enough of them."""

from __future__ import annotations

import sys

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from flows.measurements import measure_if_due
from flows.promote import gate
from flows.recovery import rerun_crashed_run
from flows.retrain import run_stages
from flows.run_lifecycle import announce, exclusive_run
from flows.tasks import log_start, run_limited
from operations import further_training, versioning
from pipelines.core import reports
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.feedback.sealed import manifest
from workspace import dvc, processes


@flow(name="feedback", persist_result=False, on_crashed=[rerun_crashed_run])
def feedback(project: str | None = None) -> None:
    """fold -> the stages of `retrain`, if `feedback.min_events` were folded since the last training -> the gate.

    Its training goes on from the champion for `feedback.steps`.

    Args:
        project: a folder in the project; by default the working directory.
    """
    with exclusive_run(project) as (found, params, registry):
        run_limited(fold, "fold", params.flow, found)
        with further_training.settings(found, params, registry) as further:
            if is_training_due(waiting_events(found), params.feedback.min_events):
                run_stages(found, further, registry)
        versioning.commit(found, params, registry, announce)
        gate(found, params, registry)
        versioning.push(found, params, announce)
        measure_if_due(found, params)


@task(cache_policy=NO_CACHE, persist_result=False)
def fold(project: Project) -> None:
    """Fold in a process of its own: it may load a model to generate with, and a training afterwards needs that memory."""
    processes.run(project, "fold", [sys.executable, "-m", "genloop", "fold"], log_start("fold"))


def is_training_due(count: int, least: int) -> bool:
    """Whether enough events wait for a training; the user gets a message about it."""
    message = f"{count:,} folded {'event waits' if count == 1 else 'events wait'} for a training"
    message += ", which begins now" if count >= least else f"; it begins at feedback.min_events = {least:,}"
    say(f"── {message}")
    get_run_logger().info(message)
    return count >= least


def waiting_events(project: Project) -> int:
    """The number of folded events that no training has learned from. `curate` may have read more: `forget` runs it alone."""
    about = project.curated / "about.json"
    read = curated.read_summary(project.curated).batches if about.is_file() else []
    learned = learned_batches(project)
    # Where new events changed nothing in the data, `train` is fresh, and there is nothing to learn from them.
    if learned is not None and set(learned) != set(read) and dvc.status(project).get("train") != "fresh":
        read = learned
    return manifest.read(project.manifest).events_outside(read)


def learned_batches(project: Project) -> list[str] | None:
    """Batches that the last training has learned from, if there was one."""
    if not (project.reports / "train.json").is_file():
        return None
    batches: list[str] | None = reports.read(project.reports, "train").get("folds")
    return batches
