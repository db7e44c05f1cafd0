"""Runs whose worker is killed at a random moment of each stage, and whether they recover without a person.

    python -m benchmarks.recovery                # 30 kills
    python -m benchmarks.recovery --kills 4      # in the first four stages
    python -m benchmarks.recovery register       # in this stage only

As on a server: Prefect's server, and `python -m flows.schedules`, which is started again whenever it dies. In turn for each
stage the stage becomes stale, a run is asked for, and while the stage goes on SIGKILL ends the process that runs the flow, or
the schedules with all that they started. Recovered means that a later run has completed, every stage is fresh, the champion and
the number of versions are what they were, the killed run is marked, and no process is left of it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from benchmarks import workspace

SETTINGS = (
    "image.size=8", "model.preset=tiny", "train.steps=60", "train.preview_every=30", "reference.steps=40",
    "evaluate.samples=250", "promotion.noise=0", "schedule.retrain=0 3 1 1 *", "schedule.feedback=0 4 1 1 *",
)  # fmt: skip
MARK = "GENLOOP_BENCHMARK"  # in the environment of all that is started here
VICTIMS = {"worker": "prefect.engine", "schedules": "flows.schedules"}
PATIENCE = 300.0  # seconds for a recovery


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help="in which the worker is killed; all by default")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    dice = random.Random(options.seed)
    with workspace.clone(settings=SETTINGS) as folder, tempfile.TemporaryDirectory(prefix="genloop-") as home:
        with Machine(folder, Path(home)) as machine:
            begun = time.monotonic()
            times = machine.first_run()
            print(f"first run: {time.monotonic() - begun:.0f} s, {len(times)} stages", flush=True)
            recovered, chosen = 0, options.stages or list(times)
            for number in range(options.kills):
                stage = chosen[number % len(chosen)]
                victim = list(VICTIMS)[number // len(chosen) % len(VICTIMS)]
                begun = time.monotonic()
                fault = machine.kill(stage, victim, dice.uniform(0, 0.9) * times[stage])
                recovered += not fault
                words = fault or f"recovered in {machine.recovery:.0f} s"
                print(f"{number + 1:>3}  {stage:<10} {victim:<10} {words}", flush=True)
        print(f"{recovered} of {options.kills}")


class Machine:
    """A project, Prefect's server, and schedules that come back: what `genloop up` keeps going."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder, self.home = folder, home
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.mark = uuid.uuid4().hex
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PREFECT", "MLFLOW", "GENLOOP"))},
            MARK: self.mark,
            "PYTHONPATH": str(folder),
            "PATH": f"{workspace.PYTHON.parent}:{os.environ['PATH']}",
            "PREFECT_HOME": str(home),
            "PREFECT_API_URL": f"http://127.0.0.1:{self.port}/api",
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
        }
        self.recovery = 0.0

    def __enter__(self) -> Machine:
        from prefect.client.orchestration import SyncPrefectClient

        uvicorn = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--port", str(self.port)]
        self.server = self.start("server.log", "-m", *uvicorn, "--log-level", "error")
        self.client = SyncPrefectClient(self.environment["PREFECT_API_URL"])
        wait(self.answers, 120, "Prefect's server")
        self.serve()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            process.kill()
        self.server.wait()
        self.schedules.wait()

    def start(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.home / log).open("ab") as file:
            return subprocess.Popen(
                [workspace.PYTHON, *arguments], cwd=self.folder, env=self.environment, stdout=file, stderr=file
            )

    def serve(self) -> None:
        self.schedules = self.start("schedules.log", "-m", "flows.schedules", "--project", str(self.folder))

    def answers(self) -> bool:
        import httpx

        try:
            return self.client._client.get("/health").is_success
        except httpx.HTTPError:
            return False

    # What is asked of it.

    def first_run(self) -> dict[str, float]:
        """Seconds of each stage, in order."""
        run = wait(self.ask, 120, "the schedules")
        seen: dict[str, tuple[float, float]] = {}
        while self.state(run) != "COMPLETED":
            if self.state(run) in ("FAILED", "CRASHED"):
                raise RuntimeError((self.home / "schedules.log").read_text()[-4000:])
            for stage in stages(self.folder):
                if self.find(f"pipelines.{stage}"):
                    first, _ = seen.get(stage, (time.monotonic(), 0.0))
                    seen[stage] = first, time.monotonic()
            time.sleep(0.05)
        self.known = self.status()
        self.versions = self.count_versions()
        assert set(self.known["stages"].values()) == {"fresh"}, self.known
        assert self.known["champion"], self.known
        return {stage: last - first for stage, (first, last) in seen.items()}

    def kill(self, stage: str, victim: str, delay: float) -> str:
        """What is wrong after the recovery; empty where nothing is. A stage that has ended before is killed sooner the next
        time: `register` finds its version, and takes a part of the time that it took to make it."""
        while True:
            self.make_stale(stage)
            run = self.ask()
            process = wait(lambda: self.find(f"pipelines.{stage}"), 120, f"{stage} of the run")
            time.sleep(delay)
            if process.is_running():
                break
            self.wait_for(run)
            delay /= 2
        doomed = [found for found in self.processes() if found.pid != self.server.pid]
        killed = time.monotonic()
        target = self.find(VICTIMS[victim])
        assert target is not None
        target.kill()
        if victim == "schedules":
            self.schedules.wait()
            self.serve()
            doomed = [found for found in doomed if found.pid != self.schedules.pid]
        else:
            doomed = [found for found in doomed if found.pid != self.schedules.pid]
        try:
            wait(lambda: self.has_completed_after(run), PATIENCE, "a later run that completed")
        except TimeoutError as error:
            return str(error)
        self.recovery = time.monotonic() - killed
        return self.fault(run, doomed)

    def fault(self, run: Any, doomed: list[psutil.Process]) -> str:
        if (state := self.state(run)) != "CRASHED":
            return f"the killed run is {state}"
        if left := [process.pid for process in doomed if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]:
            return f"processes of it are left: {left}"
        status = self.status()
        if stale := [name for name, state in status["stages"].items() if state != "fresh"]:
            return f"not fresh: {', '.join(stale)}"
        if status["champion"] != self.known["champion"]:
            return f"another champion: {status['champion']}"
        if (count := self.count_versions()) != self.versions:
            return f"{count} versions, there were {self.versions}"
        return ""

    # How it is asked.

    def make_stale(self, stage: str) -> None:
        """As if the stage had never run. DVC would take its outputs from the cache of runs otherwise."""
        yaml = YAML()
        lock = self.folder / "dvc.lock"
        content = yaml.load(lock.read_text())
        del content["stages"][stage]
        with lock.open("w") as file:
            yaml.dump(content, file)
        shutil.rmtree(self.folder / ".dvc/cache/runs", ignore_errors=True)

    def ask(self) -> Any:
        found = self.deployment()
        return found and self.client.create_flow_run_from_deployment(found).id

    def deployment(self) -> Any:
        """The one of `retrain`; None before the schedules have made it."""
        return next(
            (found.id for found in self.client.read_deployments() if found.entrypoint.startswith("flows.retrain")), None
        )

    def state(self, run: Any) -> str:
        found = self.client.read_flow_run(run).state_type
        return found.value if found else ""

    def wait_for(self, run: Any) -> None:
        wait(lambda: self.state(run) == "COMPLETED", PATIENCE, "a run that was not killed")

    def has_completed_after(self, run: Any) -> bool:
        """Whether a run that began later has completed, and nothing is going on."""
        from prefect.client.schemas.filters import FlowRunFilter

        begun = self.client.read_flow_run(run).expected_start_time
        wanted = {"deployment_id": {"any_": [self.deployment()]}, "expected_start_time": {"after_": begun}}
        runs = self.client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(wanted))
        states = [self.state(found.id) for found in runs if found.id != run and not found.auto_scheduled]
        return "COMPLETED" in states and set(states) <= {"COMPLETED", "CRASHED"}

    def status(self) -> dict[str, Any]:
        done = subprocess.run(
            [workspace.PYTHON, "-m", "genloop", "status", "--json"],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)

    def count_versions(self) -> int:
        program = (
            "from pipelines.core.project import Project; from pipelines.registry.client import Registry; "
            "from pipelines.settings.load import load_params; project = Project.find(); "
            "print(len(Registry.open(project, load_params(project.params_file).registry).numbers()))"
        )
        done = subprocess.run(
            [workspace.PYTHON, "-c", program],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return int(done.stdout.split()[-1])

    def processes(self) -> list[psutil.Process]:
        return [process for process in psutil.process_iter() if self.is_ours(process)]

    def is_ours(self, process: psutil.Process) -> bool:
        try:
            return process.environ().get(MARK) == self.mark
        except psutil.Error:
            return False

    def find(self, words: str) -> psutil.Process | None:
        """The process whose command is `python -m` with these words, whatever stands between."""
        for process in psutil.process_iter():
            try:
                arguments = process.cmdline()
                if words in arguments and "supervisor.py" not in " ".join(arguments) and self.is_ours(process):
                    return process
            except psutil.Error:
                continue
        return None


def stages(folder: Path) -> list[str]:
    return list(YAML(typ="safe").load((folder / "dvc.yaml").read_text())["stages"])


def wait(found: Callable[[], Any], seconds: float, what: str) -> Any:
    """What `found` gives as soon as it gives something. Raises TimeoutError."""
    end = time.monotonic() + seconds
    while not (value := found()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)
    return value


if __name__ == "__main__":
    main()
