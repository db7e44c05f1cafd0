"""A run whose process was killed is found, marked and run again, without a person and not for ever."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed, Running, State

from flows import deployments, recovery
from flows.retrain import retrain
from pipelines.core.project import Project
from pipelines.settings.load import update_params
from tests.flows.test_schedules import Serving, serving  # noqa: F401
from tests.support import http_servers
from tests.support.tiny_project import until

# A stage that takes long at its first time, and is quick when it is run again.
SLOW_ONCE = """
if not Path("tried").exists():
    Path("tried").touch()
    print("started", flush=True)
    time.sleep(600)
print("second time")
"""
# A stage that kills the process of the flow: the supervisor's starter.
KILLS = """
import psutil, signal
Path("times").open("a").write("x")
for parent in psutil.Process().parents():
    if "prefect.flow_engine" in " ".join(parent.cmdline()) or "prefect.engine" in " ".join(parent.cmdline()):
        parent.send_signal(signal.SIGKILL)
        break
time.sleep(60)
"""


@pytest.fixture
def client(prefect_server: dict[str, str]) -> Iterator[SyncPrefectClient]:
    settings = {PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}
    settings |= {PREFECT_API_AUTH_STRING: prefect_server["PREFECT_API_AUTH_STRING"]}
    with temporary_settings(settings), get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def deployed(client: SyncPrefectClient, project: Project) -> UUID:
    found = deployments.deployment(project, retrain)
    found.name = uuid4().hex
    return UUID(str(found.apply()))


def add(client: SyncPrefectClient, deployment: UUID, state: State, everything: bool = False) -> UUID:
    run = client.create_flow_run_from_deployment(deployment, parameters={"everything": everything})
    client.set_flow_run_state(run.id, Running(), force=True)
    client.set_flow_run_state(run.id, state, force=True)
    return run.id


def test_the_last_run_is_run_again_once_with_its_parameters(client: SyncPrefectClient, deployed: UUID) -> None:
    add(client, deployed, Completed())
    assert recovery.rerun(client, [deployed]) == []
    add(client, deployed, Crashed(), everything=True)
    (again,) = recovery.rerun(client, [deployed])
    assert again.parameters["everything"] is True
    assert again.state_type == StateType.SCHEDULED
    assert recovery.rerun(client, [deployed]) == []  # that one waits
    client.set_flow_run_state(again.id, Running(), force=True)
    assert recovery.rerun(client, [deployed]) == []
    client.set_flow_run_state(again.id, Completed(), force=True)
    assert recovery.rerun(client, [deployed]) == []


@pytest.mark.parametrize("state", [Failed(), Cancelled(), Completed()])
def test_what_ended_by_itself_or_by_a_person_is_not_run_again(client: SyncPrefectClient, deployed: UUID, state: State) -> None:
    add(client, deployed, Crashed())
    add(client, deployed, state)
    assert recovery.rerun(client, [deployed]) == []


def test_runs_that_are_killed_each_time_are_given_up(
    client: SyncPrefectClient, deployed: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    add(client, deployed, Crashed())
    for _ in range(recovery.MAX_RERUNS):
        (again,) = recovery.rerun(client, [deployed])
        client.set_flow_run_state(again.id, Crashed(), force=True)
    assert recovery.rerun(client, [deployed]) == []
    assert "4 runs in a row were killed; it is not run again before its next time" in capsys.readouterr().err
    add(client, deployed, Completed())  # its next time went well
    add(client, deployed, Crashed())
    assert len(recovery.rerun(client, [deployed])) == 1


# With real processes.


def states(serving: Serving) -> list[str]:  # noqa: F811
    wanted = recovery.run_filter([serving.deployment("retrain").id], list(StateType))
    return [
        run.state_type.value if run.state_type else ""
        for run in serving.client.read_flow_runs(flow_run_filter=wanted)
        if not run.auto_scheduled
    ]


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["prefect.engine", "flows.schedules"])
def test_after_a_kill_the_next_run_does_the_work(serving: Serving, victim: str) -> None:  # noqa: F811
    """Of the process that runs the flow, and of the schedules with all that they have started."""
    tiny = serving.tiny
    tiny.graph(first="print('quick')", second=SLOW_ONCE, third="pass")
    with http_servers.receiving() as (url, received):
        update_params(tiny.project.params_file, settings=[f"notify.webhook={url}"])
        serving.start()
        run = serving.ask("retrain")
        tiny.named("python second.py")
        tiny.named(victim).send_signal(signal.SIGKILL)
        if victim == "flows.schedules":
            until(lambda: not tiny.processes(), 60)
            assert serving.state(run) == "RUNNING"
            serving.start()
        until(lambda: serving.state(run) == "CRASHED", 60, serving.said.read_text)
        serving.says("retrain: done")
        until(lambda: (tiny.folder / "third.txt").is_file(), 60)
    assert serving.said.read_text().count("second time") == 1
    until(lambda: sorted(states(serving)) == ["COMPLETED", "CRASHED"], 60)
    (message,) = [json.loads(one.body) for one in received]
    assert (message["event"], message["state"], message["run"]["id"]) == ("failed", "crashed", str(run))
    tiny.started[-1].send_signal(signal.SIGTERM)
    tiny.nothing_left()


@pytest.mark.slow
def test_a_run_that_kills_its_process_each_time_is_run_again_three_times(serving: Serving) -> None:  # noqa: F811
    tiny = serving.tiny
    tiny.graph(first=KILLS)
    process = serving.start()
    serving.ask("retrain")
    serving.says("4 runs in a row were killed; it is not run again before its next time")
    assert (tiny.folder / "times").read_text() == "xxxx"
    process.send_signal(signal.SIGTERM)
    tiny.nothing_left()


def test_a_hand_run_that_was_killed_is_marked_and_left_to_the_person(project: Project, client: SyncPrefectClient) -> None:
    run = client.create_flow_run(retrain)
    client.set_flow_run_state(run.id, Running(), force=True)
    (recovery.run_files(project) / str(run.id)).touch()
    assert recovery.mark_crashed(project) == 1
    found = client.read_flow_run(run.id)
    assert found.state_type == StateType.CRASHED
    recovery.rerun_crashed_run(retrain, found, found.state)  # type: ignore[arg-type]
    assert list(Path(recovery.run_files(project)).iterdir()) == []
