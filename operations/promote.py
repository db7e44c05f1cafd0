"""Promote: the gate judges a version, and the alias `champion` moves if the verdict is to promote."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pipelines.core import timestamps
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.promotion import decisions, gate, moves
from pipelines.promotion.decisions import Contest, Decision
from pipelines.promotion.ledger import Move
from pipelines.registry.client import Registry
from pipelines.scoring import approval, noise_floor
from pipelines.settings.schema import Params
from workspace import dvc


@dataclass(frozen=True)
class Promotion:
    """decision: None where the gate failed and --force overrules it. move: None where the alias has not moved."""

    contest: Contest
    decision: Decision | None
    move: Move | None = None

    @property
    def challenger(self) -> int:
        return self.contest.challenger.number

    @property
    def champion(self) -> int | None:
        return self.contest.champion_number

    @property
    def moved(self) -> bool:
        return self.move is not None

    @property
    def allowed(self) -> bool:
        return self.decision is not None and self.decision.verdict == "promote"


def judge(
    project: Project,
    params: Params,
    registry: Registry,
    version: int | None,
    log: Callable[[str], None],
    force: bool = False,
    dry_run: bool = False,
) -> Promotion:
    """Let the gate judge a version, by default the challenger; the noise floor is measured first where the verdict rests on it.

    Args:
        force: the gate is overruled, so no noise floor is measured, and a gate that fails is no error.
        dry_run: nothing is changed: no noise floor is measured and committed, and the verdict is not stored.
    """
    contest = decisions.contest(project, registry, version)
    try:
        decision = None
        if not force and not dry_run and needs_noise_floor(project, params, contest):
            decision = judge_without_noise(project, params, registry, contest)
            if decision is None:
                measure_noise(project, params, registry, log)
        decision = decision or judge_contest(project, params, registry, contest, log)
    except GenloopError as error:
        if not force:
            raise
        log(f"the gate could not judge: {error}")
        return Promotion(contest, None)
    if not dry_run:
        decisions.remember(registry, decision)
    return Promotion(contest, decision)


def judge_contest(
    project: Project, params: Params, registry: Registry, contest: Contest, log: Callable[[str], None]
) -> Decision:
    """Let the gate judge, whatever its last verdict was. The noise floor should have been measured before."""
    basis = decisions.basis(project, params, contest)
    result = gate.judge(project, params, registry, contest, log)
    at = timestamps.iso(timestamps.now(), "seconds")
    return Decision(result.as_json(), [rule.why for rule in result.rules], basis, at)


def judge_without_noise(project: Project, params: Params, registry: Registry, contest: Contest) -> Decision | None:
    """The gate's decision by the samples that there are, where no noise floor could change it; None where one could.

    A version that is surely not better, or beyond a limit, is rejected whatever another seed would have changed. All other
    verdicts wait for the noise floor.
    """
    first_look = {"noise": 0, "max_samples": params.evaluate.samples}
    without = params.model_copy(update={"promotion": params.promotion.model_copy(update=first_look)})
    decision = judge_contest(project, without, registry, contest, lambda line: None)
    rejected: dict[str, list[str]] = {}  # kinds of rules that reject, by the `any` that rejects or the rule that stands alone
    joint = decisions.joint_verdicts_of(decision.figures)
    for number, (rule, verdict) in enumerate(zip(decision.figures["rules"], joint, strict=True)):
        if rule["verdict"] == verdict == "reject":
            rejected.setdefault(f"any {rule['any']}" if "any" in rule else f"rule {number}", []).append(rule["kind"])
    if all("not_worse" in kinds for kinds in rejected.values()):
        return None
    return replace(decision, basis=decisions.basis(project, params, contest))


def needs_noise_floor(project: Project, params: Params, contest: Contest) -> bool:
    """Whether the noise floor must be measured before a version can be compared with the champion: it never was, or with other
    settings, or it lacks `approval`, which a rule asks for and which DVC does not look at, and no samples are kept to score."""
    rules = params.promotion.single_rules
    if not params.model.trains:  # only a sampler: no training has a seed that could move its scores
        return False
    if not contest.champion or not params.promotion.noise or not any(rule.kind in ("better", "not_worse") for rule in rules):
        return False
    if dvc.noise_state(project) != "fresh":
        return True
    if not any((rule.metric, rule.kind) == ("approval", "better") for rule in rules):
        return False
    floor = noise_floor.read(project.noise_floor)
    if floor is None or floor.floor("approval") is not None or approval.read(project.approval) is None:
        return False
    return noise_floor.read_samples(project, floor) is None


def measure_noise(project: Project, params: Params, registry: Registry, log: Callable[[str], None]) -> None:
    from operations import versioning
    from workspace.locks import run_lock
    from workspace.stages import repro

    log(f"measuring how far scores move with the seed alone: {params.promotion.noise} trainings, once for these settings")
    with run_lock(project):
        repro(project, dvc.NOISE, dvc.noise_state(project) == "fresh", lambda line: None)  # its output is shown, not logged
        dvc.check_cache(project, dvc.NOISE)
        versioning.commit(project, params, registry, log)


def move(project: Project, registry: Registry, promotion: Promotion, reason: str, force: bool) -> Promotion:
    """Move the alias in the name of the person who typed the command; with `force`, against the verdict too.

    Raises:
        ChampionChangedError: somebody else was faster.
    """
    decision, by = promotion.decision, moves.person()
    if not force:
        assert decision is not None
        return replace(promotion, move=apply_verdict(project, registry, decision, by, reason))
    figures = decision.figures if decision else None
    moved = moves.move(project, registry, promotion.challenger, promotion.champion, by, "forced", reason, figures)
    return replace(promotion, move=moved)


def apply_verdict(project: Project, registry: Registry, decision: Decision, by: str, reason: str = "") -> Move:
    """Move the alias to the version that the gate promotes.

    Raises:
        ChampionChangedError: somebody else was faster.
    """
    figures, reason = decision.figures, reason or decision.reason()
    return moves.move(project, registry, decision.challenger, decision.champion, by, "promote", reason, figures)
