"""Rebuild: makes a registered version again in a worktree of its commit, and compares. The project itself is unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from operations.rebuild import compare, explain
from operations.rebuild.compare import MatchLevel, ScoreMatch, StageMatch, WeightsMatch
from operations.rebuild.explain import Changes
from operations.rebuild.replay import replay_stages
from operations.rebuild.worktree import check_rebuildable, open_worktree, prepare
from pipelines.core import reports
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.registration import machine
from pipelines.registry import lineage
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params


@dataclass(frozen=True)
class RebuildResult:
    """match: the worst one of the stages. changes: differences of machine and packages, then and now.

    reasons: what may explain the differences. folder: the worktree; None where it was removed.
    """

    version: int
    match: MatchLevel
    commit: str
    dirty: bool
    stages: dict[str, StageMatch]
    weights: WeightsMatch
    scores: dict[str, ScoreMatch]
    changes: Changes
    reasons: list[str]
    folder: Path | None

    def as_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "verdict": self.match,
            "commit": self.commit,
            "dirty": self.dirty,
            "stages": {name: {"verdict": stage.match, "differs": stage.differs} for name, stage in self.stages.items()},
            "weights": asdict(self.weights),
            "scores": {name: asdict(score) for name, score in self.scores.items()},
            "changes": self.changes,
            "why": self.reasons,
            "folder": str(self.folder) if self.folder else None,
        }


def rebuild(
    project: Project, params: Params, registry: Registry, number: int, keep: bool, log: Callable[[str], None]
) -> RebuildResult:
    """Make version `number` again and compare. keep: do not remove the worktree.

    Raises:
        InputError: there is no such version, or its commit, its data or its parent does not exist any more.
    """
    known, version = lineage.read(registry, number), registry.version(number)
    check_rebuildable(project, registry, known)
    with open_worktree(project, registry, known, keep) as copy, TemporaryFolder() as temporary:
        workspace = prepare(project, registry, known, version, copy)
        own = Path(temporary) / "own"
        registry.fetch(own, number)
        estimates = registry.artifact(version, "estimates.npz", Path(temporary))
        stages = replay_stages(copy, log)
        weights = compare.compare_weights(own, copy.model)
        least = compare.least_difference(project, params)
        scores = compare.compare_scores(estimates, copy.reports / "estimates.npz", least)
        ran_on = {**reports.read(copy.reports, "train"), **machine.describe()}
        changes = explain.changes(known, ran_on, copy.root / "requirements.lock")
    stages = compare.apply_scores(stages, weights, scores)
    match = compare.worst_level(stage.match for stage in stages.values())
    return RebuildResult(
        version=number,
        match=match,
        commit=str(known.commit),
        dirty=known.dirty,
        stages=stages,
        weights=weights,
        scores=scores,
        changes=changes,
        reasons=explain.reasons(known, workspace, changes, scores) if match != "bit-equal" else [],
        folder=copy.root if keep else None,
    )
