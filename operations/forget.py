"""Forget: removes a rater from the database, from the sealed files, from the newest dataset and from exported rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from operations import fold, versioning
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.external import job
from pipelines.feedback import forgetting
from pipelines.feedback.forgetting import RaterRemoval
from pipelines.feedback.store.event_store import EventStore
from pipelines.settings.load import load_params
from workspace import conflicts, dvc, dvc_cache, git, locks
from workspace.stages import repro

STAGES = ("curate", "approval")  # whose outputs name raters, or hold images that they sent or liked


@dataclass(frozen=True)
class ForgetResult:
    """committed: whether there is a commit. stages: those that ran again. deleted_objects: how many left DVC's cache."""

    forgotten: RaterRemoval
    committed: bool
    stages: list[str]
    deleted_objects: int


def forget(project: Project, rater: str, log: Callable[[str], None]) -> ForgetResult:
    """Forget one rater. Run again after a kill, it goes on from there.

    Raises:
        InputError: a merge has left conflict markers.
        GenloopError: a run is going on, sealed files are missing, or a stage failed; then all but the newest dataset is done.
    """
    with locks.run_lock(project):
        job.remove_rows(project.checkpoints)
        with locks.fold_lock(project):
            conflicts.check(project)
            before = dvc_cache.feedback_objects(project, STAGES)
            with EventStore.open(project.database_url) as store:
                forgetting.catch_up(project, store)
                forgotten = forgetting.forget(project, store, [rater])
            committed = fold.take_snapshot(project, log)
        stages = rerun_stages(project)
        if stages and load_params(project.params_file).versioning.commit and git.has_changes(project, [project.dvc_lock]):
            git.commit(project, [project.dvc_lock], versioning.commit_message(project, None), log)
        return ForgetResult(forgotten, committed, stages, dvc_cache.remove_unused(project, before) if forgotten.events else 0)


def rerun_stages(project: Project) -> list[str]:
    """Run those of STAGES again that have run before and are stale; returns their names."""
    ran = []
    for name in STAGES:
        if dvc.status(project).get(name) == "stale":
            try:
                repro(project, name, False, lambda line: None)  # its output is shown, not logged
                dvc.check_cache(project, name)
            except GenloopError as error:
                folder = project.relative(project.curated)
                raise GenloopError(
                    f"{error}\nthe events are deleted, but {folder} still holds what was made of them; run `genloop run`"
                ) from None
            ran.append(name)
    return ran
