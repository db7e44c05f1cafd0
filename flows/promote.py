"""The flow `promote`: the gate's verdict, a person's approval where it is required, and then the alias moves."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from prefect import flow, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound, Pause
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled
from pydantic import Field

from flows import artifacts, notices
from flows.recovery import find_runs, rerun_crashed_run
from flows.run_lifecycle import announce, deployment_name, exclusive_run
from flows.tasks import log_start, run_limited, run_stage
from operations import versioning
from operations.promote import apply_verdict, judge_contest, judge_without_noise, needs_noise_floor
from pipelines.core.project import Project
from pipelines.promotion import decisions, moves
from pipelines.promotion.decisions import Contest, Decision
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from pipelines.settings.schema import Params
from workspace import dvc

# States of runs that may still ask a person.
OPEN_STATES = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]


class Answer(RunInput):
    """The form on the run's page."""

    promote: bool = Field(default=False, description="Shall it take the champion's place?")
    name: str = Field(description="Your name, for the history", min_length=1)
    reason: str = Field(default="", description="Reason; empty: what the gate said")


@flow(name="promote", persist_result=False, on_crashed=[rerun_crashed_run])
def promote(version: int | None = None, project: str | None = None) -> None:
    """noise -> judge -> a person's approval, where `promotion.require_approval` asks for it -> the alias moves.

    Args:
        version: of the model; by default the challenger.
        project: a folder in the project; by default the working directory.
    """
    with exclusive_run(project) as (found, params, registry):
        if version is not None and version == registry.alias(CHAMPION):
            announce(f"version {version} is champion already")  # promoted by another person in the meantime
            return
        decision = decide(found, params, registry, decisions.contest(found, registry, version))
        if decision.verdict != "promote" or decision.declined:
            return
        if not params.promotion.require_approval:
            move(found, registry, decision, "flow promote")
        elif deployment.id:
            apply_answer(found, registry, decision, ask(decision))
        else:
            announce(f"a person has to approve: `genloop promote --version {decision.challenger}`")


def gate(project: Project, params: Params, registry: Registry) -> None:
    """The end of each run: let the gate judge a challenger that it has not judged yet."""
    moves.settle(project, registry)
    contest = decisions.challenger_contest(registry)
    if contest is None:
        return
    decision = decide(project, params, registry, contest)
    if decision.verdict != "promote" or decision.declined:
        return
    if params.promotion.require_approval:
        ask_later(project, decision.challenger)
        return
    try:
        move(project, registry, decision, f"flow {flow_run.flow_name}")
    except moves.ChampionChangedError as error:  # no fault of this run; the next one judges again
        announce(str(error))


def decide(project: Project, params: Params, registry: Registry, contest: Contest) -> Decision:
    """The gate's decision, a valid earlier one or a new one; it is shown on the run's page."""
    decision = known = decisions.find_valid(project, params, contest)
    if decision is None and needs_noise_floor(project, params, contest):
        decision = run_limited(first_look, "first look", params.flow, project, params, registry, contest)
        if decision is None:
            run_stage(project, dvc.NOISE, params.flow, dvc.noise_state(project) == "fresh")
            versioning.commit(project, params, registry, announce)
    if decision is None:
        decision = run_limited(judge, "judge", params.flow, project, params, registry, contest)
    if not known:
        notices.judged(project, params, decision)
    announce(decisions.summary(decision))
    artifacts.show_decision(registry, decision)
    return decision


@task(cache_policy=NO_CACHE, persist_result=False)
def first_look(project: Project, params: Params, registry: Registry, contest: Contest) -> Decision | None:
    """A decision that no noise floor can change spares its trainings; None where one could."""
    decision = judge_without_noise(project, params, registry, contest)
    if decision is not None:
        decisions.remember(registry, decision)
    return decision


@task(cache_policy=NO_CACHE, persist_result=False)
def judge(project: Project, params: Params, registry: Registry, contest: Contest) -> Decision:
    decision = judge_contest(project, params, registry, contest, log_start("judge"))
    decisions.remember(registry, decision)
    return decision


def ask(decision: Decision) -> Answer:
    """A person's answer. The process ends, and this run begins anew when there is an answer, which may take days.

    Each pair of versions is a new question: the answer to an earlier verdict does not count.
    """
    form = Answer.with_initial_data(description=artifacts.markdown(decision))
    try:
        answer = suspend_flow_run(wait_for_input=form, key=f"{decision.challenger}-{decision.champion}")
    except Pause:
        announce("waiting for a person's approval, on this run's page or by `genloop promote`")
        raise
    assert answer is not None
    return answer


def apply_answer(project: Project, registry: Registry, decision: Decision, answer: Answer) -> None:
    if answer.promote:
        move(project, registry, decision, answer.name, answer.reason)
        return
    refusal = f"{answer.name} said no" + (f": {answer.reason}" if answer.reason else "")
    decisions.remember(registry, replace(decision, declined=refusal))
    announce(f"version {decision.challenger} is not promoted: {refusal}")


def move(project: Project, registry: Registry, decision: Decision, by: str, reason: str = "") -> None:
    apply_verdict(project, registry, decision, by, reason)
    announce(f"version {decision.challenger} is champion now; `genloop rollback` takes it back")
    artifacts.show_history(project, registry)


def ask_later(project: Project, challenger: int) -> None:
    """Start a run of the deployed flow `promote`, which asks; without a server, a message says what a person has to do."""
    by_hand = f"a person has to approve: `genloop promote --version {challenger}`"
    with get_client(sync_client=True) as client:
        try:
            own = client.read_deployment(UUID(deployment.id)).name if deployment.id else deployment_name(project)
            served = client.read_deployment_by_name(f"promote/{own}")
        except ObjectNotFound:
            served = None
        if served is None or served.paused:
            announce(by_hand)
            return
        asking = find_runs(client, [served.id], OPEN_STATES)
        for run in asking:
            if run.parameters.get("version") != challenger:
                outdated: State[None] = Cancelled(message=f"version {challenger} is the challenger now")
                client.set_flow_run_state(run.id, outdated, force=True)
        if not any(run.parameters.get("version") == challenger for run in asking):
            client.create_flow_run_from_deployment(served.id, parameters={"version": challenger})
    announce(f"{by_hand}, or on the page of the run of `promote` that asks for it now")
