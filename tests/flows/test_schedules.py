"""Both flows on their crons, one at a time; nothing outlives what serves them, and nothing is left undone for good."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from filelock import FileLock
from prefect.client.orchestration import SyncPrefectClient

from flows import deployments, run_lifecycle, schedules, server
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.settings.load import update_params
from pipelines.settings.schema import ScheduleParams
from tests.support.tiny_project import Tiny, until

SLEEPS = "print('started', flush=True); time.sleep(600)"


def schedule(**lines: str | None) -> ScheduleParams:
    return ScheduleParams.model_validate({"timezone": "UTC", "retrain": None, "feedback": None, **lines})


def test_the_next_time_is_of_the_zone(project: Project) -> None:
    at = deployments.next_time(project, "retrain", "0 3 * * *", "Asia/Tokyo")
    assert (at.hour, at.minute, at.tzinfo) == (3, 0, ZoneInfo("Asia/Tokyo"))
    assert timedelta() < at - datetime.now(UTC) <= timedelta(days=1)


@pytest.mark.parametrize("line", ["0 0 31 2 *", "0 0 30 feb *", "0 0 31 4,6 *"])
def test_a_cron_that_never_comes_stops_at_the_start(project: Project, line: str) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: schedule\.feedback: .* is no cron line with a next time"):
        deployments.serve(project, schedule(feedback=line))


def test_with_both_null_there_is_nothing_to_serve(project: Project) -> None:
    with pytest.raises(InputError, match="nothing to serve"):
        deployments.serve(project, schedule())


def test_a_fault_is_a_line_and_an_exit_code(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.graph(one="pass")
    edit(tiny, retrain="0 0 31 2 *")
    for name in (run_lifecycle.SERVED_BY, server.OWN_SERVER):
        monkeypatch.setenv(name, "")  # so that what `main` sets is taken back
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        schedules.main(["--project", str(tiny.folder)])
    signal.signal(signal.SIGTERM, before)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("schedules: params.yaml: schedule.retrain: '0 0 31 2 *' is no cron line")


def test_a_project_is_served_once(project: Project) -> None:
    project.logs.mkdir()
    with FileLock(project.logs / "schedules.lock"), pytest.raises(GenloopError, match="served already"):
        deployments.serve(project, schedule(retrain="0 3 * * *"))


def test_no_two_projects_have_one_name(tmp_path: Path) -> None:
    names = {run_lifecycle.deployment_name(Project(tmp_path / place)) for place in ("a/my %project", "b/my %project")}
    assert len(names) == 2
    assert all(name.startswith("my--project-") for name in names)


def test_missed_runs_are_dropped_and_those_that_somebody_asked_for_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    missed = [SimpleNamespace(id=number, auto_scheduled=number != 2) for number in range(5)]
    asked: list[Any] = []

    class Client:
        def __enter__(self) -> Client:
            return self

        def __exit__(self, *_: object) -> None: ...

        def read_flow_runs(self, flow_run_filter: Any) -> list[Any]:
            asked.append(flow_run_filter.model_dump(mode="json", exclude_unset=True))
            return missed[:3]

        def delete_flow_run(self, number: int) -> None:
            missed[:] = [run for run in missed if run.id != number]

    monkeypatch.setattr(run_lifecycle, "get_client", lambda sync_client: Client())
    assert run_lifecycle.drop_missed([]) == 0
    assert asked == []
    assert run_lifecycle.drop_missed(["0198f2c4-0000-7000-8000-000000000000"]) == 4
    assert [run.id for run in missed] == [2]
    assert asked[0]["state"] == {"type": {"any_": ["SCHEDULED"]}}
    assert asked[0]["expected_start_time"]["before_"] <= datetime.now(UTC).isoformat()


# With a server. Runs are asked for, as from Prefect's page: to wait for a cron would take a minute.


def edit(tiny: Tiny, **lines: str) -> None:
    crons = [f"schedule.{name}='{line}'" for name, line in lines.items()]
    update_params(tiny.project.params_file, settings=["feedback.min_events=1", *crons])


class Serving:
    """`python -m flows.schedules` in a tiny project, and the server that it talks to."""

    def __init__(self, tiny: Tiny, elsewhere: Path) -> None:
        self.tiny, self.elsewhere = tiny, elsewhere
        tiny.environment["PREFECT_RUNNER_POLL_FREQUENCY"] = "1"
        edit(tiny, retrain="0 3 1 1 *", feedback="0 4 1 1 *")  # once a year
        environment = tiny.environment
        self.client = SyncPrefectClient(environment["PREFECT_API_URL"], auth_string=environment["PREFECT_API_AUTH_STRING"])

    def start(self) -> subprocess.Popen[str]:
        self.said = self.tiny.folder / "said.txt"
        with self.said.open("w") as file:
            process = self.tiny.start(
                "-m", "flows.schedules", "--project", str(self.tiny.folder), stderr=file, cwd=self.elsewhere
            )
        self.says("Ctrl-C ends this")
        return process

    def says(self, words: str) -> None:
        until(lambda: words in self.said.read_text(), 180, self.said.read_text)

    def ask(self, name: str) -> UUID:
        """A run of the flow, now."""
        return self.client.create_flow_run_from_deployment(self.deployment(name).id).id

    def deployment(self, name: str) -> Any:
        return self.client.read_deployment_by_name(f"{name}/{run_lifecycle.deployment_name(self.tiny.project)}")

    def state(self, run: UUID) -> str:
        found = self.client.read_flow_run(run).state
        return found.type.value if found else "none"


@pytest.fixture
def serving(served: Tiny, elsewhere: Path) -> Iterator[Serving]:
    found = Serving(served, elsewhere)
    yield found
    found.client._client.close()


@pytest.mark.slow
def test_runs_come_one_at_a_time_and_wait_for_one_by_hand(serving: Serving) -> None:
    serving.tiny.graph(curate="print('curate runs')")
    process = serving.start()
    assert f"retrain   next at {datetime.now(UTC).year + 1}-01-01 03:00 UTC (0 3 1 1 *)\n" in serving.said.read_text()
    with FileLock(serving.tiny.project.logs / "run.lock"):
        first, second = serving.ask("retrain"), serving.ask("feedback")
        serving.says("waiting for it to end")
        assert serving.state(first) == "RUNNING"
        assert serving.state(second) == "SCHEDULED"
    until(lambda: serving.state(second) == "COMPLETED", 180, serving.said.read_text)
    assert serving.state(first) == "COMPLETED"
    said = serving.said.read_text()
    order = [
        "retrain: begins",
        "waiting for it",
        "curate runs",
        "retrain: done",
        "feedback: begins",
        "── fold",
        "feedback: done",
    ]
    assert [words for words in order if words in said] == order
    assert sorted(order, key=said.index) == order

    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert serving.said.read_text().endswith("schedules: stopped\n")
    assert serving.deployment("retrain").paused  # nothing comes while nobody serves
    serving.tiny.nothing_left()


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="Ctrl-C"),
        pytest.param(signal.SIGTERM, id="TERM", marks=pytest.mark.slow),
        pytest.param(signal.SIGKILL, id="KILL", marks=pytest.mark.slow),
    ],
)
def test_nothing_outlives_what_serves_and_no_run_goes_on_for_good(serving: Serving, number: signal.Signals) -> None:
    serving.tiny.graph(first=SLEEPS)
    process = serving.start()
    run = serving.ask("retrain")
    serving.tiny.named("python first.py")
    process.send_signal(number)
    serving.tiny.nothing_left()
    if number == signal.SIGKILL:
        assert serving.state(run) == "RUNNING"
        process = serving.start()
        assert serving.state(run) == "CRASHED"
        assert not serving.deployment("retrain").paused
        process.send_signal(signal.SIGTERM)
        serving.tiny.nothing_left()
    assert process.wait(20) == 0
    assert serving.state(run) in ("CRASHED", "FAILED", "CANCELLED")


@pytest.mark.slow
def test_with_no_server_configured_crons_come_all_the_same(tiny: Tiny) -> None:
    """Prefect's scheduler, too, must work with the versions that are locked."""
    del tiny.environment["PREFECT_API_URL"]
    tiny.graph(first="pass")
    edit(tiny, retrain="* * * * *")
    said = tiny.folder / "said.txt"
    with said.open("w") as file:
        process = tiny.start("-m", "flows.schedules", stderr=file)
    until(lambda: said.read_text().count("retrain: done") >= 2, 240, said.read_text)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    tiny.nothing_left()
