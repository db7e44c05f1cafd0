"""What a run ends with: the gate, with Prefect around it."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from pipelines.core import files
from pipelines.promotion import decisions
from pipelines.promotion.decisions import Decision
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION
from pipelines.settings.load import update_params
from tests.flows.test_run import rows
from tests.flows.test_schedules import Serving, serving  # noqa: F401
from tests.support.fake_registry import FakeGate
from tests.support.tiny_project import Tiny, until

# Every run of the flow is in one process: to start Prefect takes longer than all that is tried here.
FLOWS = """
import json
import pytest
from flows import promote
from flows.retrain import retrain
from pipelines.core.project import Project
from pipelines.promotion import history
from pipelines.registry.versions import CHAMPION
from pipelines.settings.load import update_params
from tests.support.fake_registry import FakeGate, FakeRegistry, install

project = Project.find()

def run(name, verdict="promote", challenger=3):
    registry, gate = FakeRegistry(challenger=challenger), FakeGate(verdict)
    (project.data / "feedback.db").unlink(missing_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        install(patch, project, registry, gate)
        retrain() if name == "retrain" else promote.promote()
        retrain() if name == "retrain" else None
        moves = [move.by for move in history.moves(project, registry) if move.kind == "promote"]
    print(json.dumps([gate.judged, registry.alias(CHAMPION), moves]))

update_params(project.params_file, settings=["promotion.noise=0"])
run("retrain", "reject")
run("retrain")
run("promote")
run("retrain", challenger=None)
update_params(project.params_file, settings=["promotion.require_approval=true"])
run("retrain")
"""


@pytest.mark.slow
def test_a_run_ends_with_the_gate_which_is_asked_once(served: Tiny) -> None:
    served.graph(first="pass")
    process = served.start("-c", FLOWS)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert [json.loads(line) for line in out.splitlines()] == [
        [[[3, 2]], 2, []],
        [[[3, 2]], 3, ["flow retrain"]],
        [[[3, 2]], 3, ["flow promote"]],
        [[], 2, []],
        [[[3, 2]], 2, []],
    ]
    assert "version 3 against champion 2: reject (fid: surely better)" in err
    assert "version 3 is champion now; `genloop rollback` takes it back" in err
    assert "a person has to approve: `genloop promote --version 3`" in err
    until(lambda: {("verdict",), ("history",)} <= set(rows(served, "select key from artifact")), 90)
    ((verdict,),) = rows(served, "select data from artifact where key = 'verdict' limit 1")
    assert json.loads(json.loads(verdict))[0]["score"] == "fid_unbiased"
    served.nothing_left()


@pytest.mark.slow
def test_a_person_is_waited_for_and_what_they_say_counts(
    serving: Serving,  # noqa: F811
    empty_registry: Path,
) -> None:
    """The run ends while it waits, and goes on in another process; nobody else has to wait meanwhile."""
    serving.tiny.graph(first="pass")
    project = serving.tiny.project
    shutil.copy(empty_registry, project.root)
    params = update_params(project.params_file, settings=["promotion.require_approval=true"])
    files.write(project.reports / "reference.json", '{"benchmark_id": "abc"}')
    registry = Registry.open(project, params.registry)
    for alias, number in ((CHAMPION, 2), (CHALLENGER, 3)):
        registry.set_alias(alias, number)
    contest = decisions.contest(project, registry)
    verdict = FakeGate().judge(project, params, registry, contest, print)
    basis = decisions.basis(project, params, contest)
    decisions.remember(registry, Decision(verdict.as_json(), [rule.why for rule in verdict.rules], basis, "2026-01-31"))

    serving.start()
    retrain = serving.ask("retrain")
    serving.says("or on the page of the run of `promote` that asks for it now")
    serving.says("waiting for a person's approval")
    until(lambda: serving.state(retrain) == "COMPLETED", 180)
    (asking,) = serving.client.read_flow_runs(flow_run_filter=named("PAUSED"))
    again = serving.ask("retrain")
    until(lambda: serving.state(again) == "COMPLETED", 180)
    assert [run.id for run in serving.client.read_flow_runs(flow_run_filter=named("PAUSED"))] == [asking.id]  # asked once

    serving.client.resume_flow_run(asking.id, {"promote": False, "name": "ann", "reason": "the eights"})
    serving.says("version 3 is not promoted: ann said no: the eights")
    until(lambda: serving.state(asking.id) == "COMPLETED", 180)
    decision = decisions.latest(registry.version(3))
    assert decision is not None
    assert decision.declined == "ann said no: the eights"
    last = serving.ask("retrain")
    until(lambda: serving.state(last) == "COMPLETED", 180)
    assert serving.client.read_flow_runs(flow_run_filter=named("PAUSED")) == []
    serving.tiny.started[-1].send_signal(signal.SIGTERM)
    serving.tiny.nothing_left()


def named(state: str) -> Any:
    from prefect.client.schemas.filters import FlowRunFilter

    return FlowRunFilter.model_validate({"state": {"type": {"any_": [state]}}})
