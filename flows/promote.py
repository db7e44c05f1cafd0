"""A new version against the champion: the gate's verdict, a person's yes where that is asked for, and then the alias moves."""

from __future__ import annotations

import os
from dataclasses import replace

from prefect import flow, get_client, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import ObjectNotFound, Pause
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled
from pydantic import Field

from flows import artifacts, run_lifecycle
from flows.run_lifecycle import going_on, say
from flows.tasks import begin, limited, run_stage
from pipelines.core import paths
from pipelines.promotion import decisions
from pipelines.promotion.decisions import Decision
from pipelines.registry import client
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from workspace import dvc, versioning
from workspace.staleness import unmeasured

OPEN = [StateType.SCHEDULED, StateType.PENDING, StateType.RUNNING, StateType.PAUSED]  # of runs that may still ask somebody


class Answer(RunInput):
    """What the run's page asks a person for."""

    promote: bool = Field(default=False, description="Shall it take the champion's place?")
    name: str = Field(description="Who says so; it goes into the history", min_length=1)
    reason: str = Field(default="", description="Why; left empty, what the gate said")


@flow(name="promote", persist_result=False)
def promote(version: int | None = None) -> None:
    """noise -> judge -> a person's yes, where `promotion.require_approval` asks for it -> the alias moves.

    Args:
        version: of the model; by default the challenger.
    """
    os.chdir(paths.root())
    with going_on():
        params = load_params()
        if version is not None and version == client.holder(params, client.CHAMPION):
            say(f"version {version} is champion already")  # while somebody was to be asked, somebody else has promoted it
            return
        decision = decide(params, *decisions.sides(params, version))
        if decision.word != "promote" or decision.declined:
            return
        if not params.promotion.require_approval:
            move(params, decision, "flow promote")
        elif deployment.id:
            follow(params, decision, ask(decision))
        else:
            say(f"a person has to say yes: `genloop promote --version {decision.challenger}`")


def gate(params: Params) -> None:
    """What a run ends with, in the flow that calls this: a challenger that has not been judged so far is judged."""
    from pipelines.promotion.moves import LostError

    decisions.settle(params)
    challenger, champion = (client.holder(params, alias) for alias in (client.CHALLENGER, client.CHAMPION))
    if challenger is None or challenger == champion:
        return
    decision = decide(params, challenger, champion)
    if decision.word != "promote" or decision.declined:
        return
    if params.promotion.require_approval:
        ask_later(challenger)
        return
    try:
        move(params, decision, f"flow {flow_run.flow_name}")
    except LostError as error:  # no fault of this run; the next one asks the gate about the champion that there is now
        say(str(error))


def decide(params: Params, challenger: int, champion: int | None) -> Decision:
    """What the gate says, which may have been asked before; it is on the run's page then."""
    if decisions.known(params, challenger, champion) is None:
        if champion is not None and unmeasured(params):
            run_stage(dvc.NOISE, params.flow, dvc.noise() == "fresh")
            versioning.commit(params, say)
        limited(judge, "judge", params.flow, params, challenger, champion)
    decision = decisions.known(params, challenger, champion)
    assert decision is not None  # the task has kept it
    say(decisions.words(decision))
    artifacts.show_decision(params, decision)
    return decision


@task(cache_policy=NO_CACHE, persist_result=False)
def judge(params: Params, challenger: int, champion: int | None) -> None:
    log = begin("judge")
    decisions.remember(params, decisions.judge(params, challenger, champion, log))


def ask(decision: Decision) -> Answer:
    """A person's answer. The process ends, and this run begins anew when there is one: somebody may be away for days.

    A new question for each pair of versions: what was said to another verdict does not count.
    """
    form = Answer.with_initial_data(description=artifacts.markdown(decision))
    try:
        answer = suspend_flow_run(wait_for_input=form, key=f"{decision.challenger}-{decision.champion}")
    except Pause:
        say("waiting for a person's yes, on this run's page, or by `genloop promote`")
        raise
    assert answer is not None
    return answer


def follow(params: Params, decision: Decision, answer: Answer) -> None:
    if answer.promote:
        move(params, decision, answer.name, answer.reason)
        return
    said = f"{answer.name} said no" + (f": {answer.reason}" if answer.reason else "")
    decisions.remember(params, replace(decision, declined=said))
    say(f"version {decision.challenger} is not promoted: {said}")


def move(params: Params, decision: Decision, by: str, reason: str = "") -> None:
    decisions.move(params, decision, by, reason)
    say(f"version {decision.challenger} is champion now; `genloop rollback` takes it back")
    artifacts.show_history(params)


def ask_later(challenger: int) -> None:
    """A run of the served flow `promote` asks, in its own time; where nothing serves it, a person has to know."""
    by_hand = f"a person has to say yes: `genloop promote --version {challenger}`"
    with get_client(sync_client=True) as client:
        try:
            served = client.read_deployment_by_name(f"promote/{run_lifecycle.project()}")
        except ObjectNotFound:
            served = None
        if served is None or served.paused:
            say(by_hand)
            return
        there = run_lifecycle.of(client, [served.id], OPEN)
        for run in there:
            if run.parameters.get("version") != challenger:
                overtaken: State[None] = Cancelled(message=f"version {challenger} is the challenger now")
                client.set_flow_run_state(run.id, overtaken, force=True)
        if not any(run.parameters.get("version") == challenger for run in there):
            client.create_flow_run_from_deployment(served.id, parameters={"version": challenger})
    say(f"{by_hand}, or on the page of the run of `promote` that now asks for it")
