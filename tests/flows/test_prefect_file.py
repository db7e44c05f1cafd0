"""prefect.yaml: the flows as deployments for Prefect's workers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate
from ruamel.yaml import YAML

from flows import recovery
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY
from tests.support.tiny_project import Tiny, until

SLOW_ONCE = """
if not Path("tried").exists():
    Path("tried").touch()
    print("started", flush=True)
    time.sleep(600)
"""
FILE: dict[str, Any] = YAML(typ="safe").load((REPOSITORY / "prefect.yaml").read_text())
DEPLOYED = {found["entrypoint"].split(".")[1]: found for found in FILE["deployments"]}


def test_the_times_are_those_of_params() -> None:
    schedule = load_params(REPOSITORY / "params.yaml").schedule
    for flow in recovery.FLOWS:
        crons = [(line["cron"], line["timezone"]) for line in DEPLOYED[flow]["schedules"]]
        cron = getattr(schedule, flow, None)
        assert crons == ([(cron, schedule.timezone)] if cron else [])


def test_every_flow_is_there_once_and_never_runs_twice_at_a_time() -> None:
    assert sorted(DEPLOYED) == sorted(recovery.FLOWS)
    assert len(FILE["deployments"]) == len(DEPLOYED)
    for found in DEPLOYED.values():
        assert found["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert found["work_pool"]["name"] == "genloop"


class Pool:
    """The deployments of prefect.yaml in a pool of their own, and a worker of it, in a tiny project."""

    def __init__(self, tiny: Tiny) -> None:
        self.tiny, self.name = tiny, f"pool-{uuid4().hex[:8]}"
        tiny.environment |= {"GENLOOP_PROJECT": str(tiny.folder), "PREFECT_WORKER_QUERY_SECONDS": "1"}
        environment = tiny.environment
        self.client = SyncPrefectClient(environment["PREFECT_API_URL"], auth_string=environment["PREFECT_API_AUTH_STRING"])

    def create(self, kind: str, **template: Any) -> None:
        """Prefect's own template unless another one is given."""
        if template:
            self.client.create_work_pool(WorkPoolCreate(name=self.name, type=kind, **template))
        else:
            self.prefect("work-pool", "create", self.name, "--type", kind)

    def prefect(self, *arguments: str) -> str:
        environment = {name: value for name, value in self.tiny.environment.items() if name != "GENLOOP_PROJECT"}
        done = subprocess.run(
            [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
            cwd=self.tiny.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def deploy(self) -> None:
        """All of prefect.yaml, under names of this pool: other tests use the server as well."""
        text = (REPOSITORY / "prefect.yaml").read_text()
        text = text.replace("- name: genloop\n", f"- name: {self.name}\n").replace(
            "    name: genloop\n", f"    name: {self.name}\n"
        )
        (self.tiny.folder / "prefect.yaml").write_text(text)
        self.prefect("deploy", "--all")

    def work(self) -> subprocess.Popen[str]:
        self.said = self.tiny.folder / "worker.txt"
        with self.said.open("a") as file:
            return self.tiny.start("-m", "prefect", "worker", "start", "--pool", self.name, stdout=file, stderr=file)

    def deployment(self, flow: str) -> Any:
        return self.client.read_deployment_by_name(f"{flow}/{self.name}")

    def ask(self, flow: str) -> UUID:
        return self.client.create_flow_run_from_deployment(self.deployment(flow).id).id

    def state(self, run: UUID) -> str:
        found = self.client.read_flow_run(run).state_type
        return found.value if found else "none"

    def message(self, run: UUID) -> str:
        found = self.client.read_flow_run(run).state
        return (found and found.message) or ""

    def ends(self, run: UUID, state: str = "COMPLETED") -> None:
        until(lambda: self.state(run) == state, 240, self.said.read_text)


@pytest.fixture
def pool(served: Tiny) -> Pool:
    return Pool(served)


@pytest.mark.slow
def test_a_worker_of_a_process_pool_runs_the_flows_one_at_a_time_in_the_project(pool: Pool) -> None:
    tiny = pool.tiny
    tiny.graph(first="print('first runs in', Path.cwd())")
    pool.create("process")
    pool.deploy()
    retrain = pool.deployment("retrain")
    assert retrain.pull_steps == FILE["pull"]  # the folder is found out where a run begins
    assert [found.schedule.cron for found in retrain.schedules] == ["0 3 * * *"]
    worker = pool.work()
    runs = [pool.ask("retrain"), pool.ask("retrain"), pool.ask("feedback"), pool.ask("promote")]
    for run in runs[:3]:
        pool.ends(run)
    pool.ends(runs[3], "FAILED")  # there is nothing that could be promoted
    assert pool.said.read_text().count(f"first runs in {tiny.folder}") == 1
    assert "no challenger" in pool.message(runs[3])
    worker.send_signal(signal.SIGINT)
    tiny.nothing_left()


@pytest.mark.slow
def test_the_worker_marks_a_killed_run_and_runs_it_again(pool: Pool) -> None:
    tiny = pool.tiny
    tiny.graph(first=SLOW_ONCE, second="pass")
    pool.create("process")
    pool.deploy()
    worker = pool.work()
    run = pool.ask("retrain")
    until((tiny.folder / "tried").is_file)
    flow = next(parent for parent in tiny.named("workspace/supervisor.py").parents() if "prefect" in " ".join(parent.cmdline()))
    flow.send_signal(signal.SIGKILL)
    pool.ends(run, "CRASHED")
    until(lambda: (tiny.folder / "second.txt").is_file(), 240, pool.said.read_text)
    worker.send_signal(signal.SIGINT)
    tiny.nothing_left()


@pytest.mark.slow
def test_the_server_finds_a_run_whose_machine_is_gone_and_the_next_worker_runs_it_again(pool: Pool) -> None:
    """The worker, the flow and all below them die at once, as when the power fails."""
    tiny = pool.tiny
    tiny.graph(first=SLOW_ONCE, second="pass")
    pool.create("process")
    pool.deploy()
    done = subprocess.run(
        [sys.executable, "-m", "flows.automations"], cwd=tiny.folder, env=tiny.environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    pool.work()
    run = pool.ask("retrain")
    until((tiny.folder / "tried").is_file)
    for process in tiny.processes():
        process.send_signal(signal.SIGKILL)
    assert pool.state(run) == "RUNNING"
    pool.ends(run, "CRASHED")
    worker = pool.work()
    until(lambda: (tiny.folder / "second.txt").is_file(), 240, pool.said.read_text)
    worker.send_signal(signal.SIGINT)
    tiny.nothing_left()


@pytest.mark.slow
def test_they_can_be_deployed_to_a_kubernetes_pool(pool: Pool) -> None:
    """Prefect's server checks job variables against the pool's template; a cluster is not at hand."""
    template = REPOSITORY / "infra/kubernetes/gpu/job-template.json"
    minimal = {
        "job_configuration": {"env": "{{ env }}"},
        "variables": {"type": "object", "properties": {"env": {"type": "object"}}},
    }
    base = json.loads(template.read_text()) if template.is_file() else minimal
    pool.create("kubernetes", base_job_template=base)
    pool.deploy()
    for flow in recovery.FLOWS:
        found = pool.deployment(flow)
        assert found.work_pool_name == pool.name
        assert found.job_variables == {"env": {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}}
