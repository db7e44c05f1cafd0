"""Forgetting a rater, to the end: what they said, what is kept of it, and what the newest dataset has of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from operations.fold import message
from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.feedback import forgetting
from pipelines.feedback.forgetting import Forgotten
from pipelines.feedback.store.event_store import Store
from workspace import dvc, dvc_cache, locks, snapshot
from workspace.stages import repro

STAGES = ("curate", "approval")  # whose outputs tell of raters, or hold what they sent or liked


@dataclass(frozen=True)
class Done:
    """committed: whether git has it. stages: those that ran again. superseded: objects deleted from DVC's cache."""

    forgotten: Forgotten
    committed: bool
    stages: list[str]
    superseded: int


def forget(rater: str, log: Callable[[str], None]) -> Done:
    """Run again after a kill, it goes on from there.

    Raises:
        GenloopError: a run is going on, sealed files are missing, or a stage failed; then all but the newest dataset is done.
    """
    with locks.alone():
        with locks.folding():
            before = dvc_cache.of_feedback(STAGES)
            with Store.open() as store:
                forgetting.catch_up(store, paths.FEEDBACK, paths.MANIFEST)
                done = forgetting.forget(store, paths.FEEDBACK, paths.MANIFEST, [rater])
            committed = not snapshot.kept() and snapshot.keep(message(), log)
        ran = refresh()
        return Done(done, committed, ran, dvc_cache.remove(before) if done.events else 0)


def refresh() -> list[str]:
    """Run those of STAGES again that have run before and are stale; which."""
    ran = []
    for name in STAGES:
        if dvc.status().get(name) == "stale":
            try:
                repro(name, False, lambda line: None)  # it is shown as it comes, and kept nowhere
                dvc.check_cache(name)
            except GenloopError as error:
                raise GenloopError(
                    f"{error}\nthe events are gone; what came of them is in {paths.CURATED} until `genloop run` ends well"
                ) from None
            ran.append(name)
    return ran
