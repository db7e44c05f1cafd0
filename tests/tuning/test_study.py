"""The study on databases of both kinds: it goes on, several may work at it, and what was torn off is done again."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from pipelines.settings.schema import Params
from pipelines.tuning import study
from pipelines.tuning.study import Study, StudyError
from tests.conftest import REPOSITORY

KEY = "train.batch_size"
WORK = """
import sys
from pipelines.core.project import Project
from pipelines.settings.load import load_params
from pipelines.tuning.study import Study
project = Project.find()
found = Study(project, load_params(project.params_file), [], ["data"])
print("open", flush=True)
while (asked := found.ask(12).trial) is not None:
    if sys.argv[1:] == ["hang"]:
        print("asked", flush=True)
        sys.stdin.read()
    found.report(asked, 1, asked.params["train.batch_size"])
    found.done(asked, float(asked.params["train.batch_size"]))
"""


@pytest.fixture
def tuned(configured: Project, make_params) -> Params:
    return make_params({"tune.startup": 2})


def start(project: Project, *arguments: str) -> subprocess.Popen[str]:
    environment = {**project.environment, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-c", WORK, *arguments]
    return subprocess.Popen(
        command, cwd=project.root, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def states(found: Study) -> list[str]:
    return [trial.state for trial in found.trials()]


def test_a_study_goes_on_and_tells_what_came_of_each_trial(tuned: Params, configured: Project) -> None:
    found = Study(configured, tuned, [], ["data"])
    first = found.ask(3).trial
    assert first is not None
    assert KEY in first.params
    assert first.params["model.change.learning_rate"] == 0.002, "as it is without tuning"
    found.report(first, 75, 5.0)
    found.done(first, 4.0)
    second = found.ask(3).trial
    found.failed(second, "it diverged")

    again = Study(configured, tuned, [], ["data"])
    assert again.name == found.name
    third = again.ask(3).trial
    again.pruned(third)
    assert again.ask(3).trial is None
    assert again.ask(4).trial is not None
    one, two, three, four = again.trials()
    assert (one.state, one.value, one.intermediate, one.reason) == ("done", 4.0, {75: 5.0}, None)
    assert (two.state, two.value, two.reason) == ("failed", None, "it diverged")
    assert (three.state, four.state) == ("pruned", "running")
    assert one.seconds is not None
    assert again.trial(1) == two


def test_it_stands_beside_the_events(tuned: Params, configured: Project, url: str) -> None:
    with EventStore.open(configured.database_url) as store:
        Study(configured, tuned, [], ["data"]).ask(1)
        assert store.counts().new == 0
    with EventStore.open(configured.database_url):
        assert states(Study(configured, tuned, [], ["data"])) == ["running"]
    assert (configured.data / study.FILE).exists() == url.startswith("sqlite")


def test_other_data_or_another_space_is_another_study_and_more_trials_are_not(make_params, configured: Project) -> None:
    one = Study(configured, make_params(), [], ["data"]).name
    assert Study(configured, make_params({"tune.trials": 99, "tune.pruner": "none"}), [], ["data"]).name == one
    changes = ({"tune.space": {KEY: [8]}}, {"tune.steps": 9}, {"model.preset": "tiny"}, {"train.augment.flip": True})
    others = {
        one,
        Study(configured, make_params(), [], ["other"]).name,
        *(Study(configured, make_params(change), [], ["data"]).name for change in changes),
    }
    assert len(others) == 6
    applied = make_params({"train.batch_size": 64, "model.change.learning_rate": 0.001, "train.augment.shift": 0.05})
    assert Study(configured, applied, [], ["data"]).name == one, "the space has these"


def test_a_trial_whose_process_was_killed_is_done_again(tuned: Params, configured: Project) -> None:
    process = start(configured, "hang")
    assert process.stdout is not None
    assert [process.stdout.readline().strip() for _ in range(2)] == ["open", "asked"]
    found = Study(configured, tuned, [], ["data"])
    claim = found.ask(12)
    assert states(found) == ["running", "running"], "its process lives"
    assert claim.torn == []
    process.kill()
    process.communicate()
    again = found.ask(12)
    assert again.trial is not None
    assert again.torn == [0]
    first, *_, last = found.trials()
    assert (first.state, first.counts, last.state) == ("torn", False, "running")
    assert again.trial.params == first.values
    found.done(claim.trial, 1.0)
    found.done(again.trial, 2.0)


def test_a_silent_trial_on_another_machine_is_given_up_and_one_that_speaks_is_not(tuned, configured, monkeypatch) -> None:
    found = Study(configured, tuned, [], ["data"])
    trial = found.ask(5).trial
    monkeypatch.setattr(study.socket, "gethostname", lambda: "another")
    found.tear_abandoned()
    assert states(found) == ["running"]
    monkeypatch.setattr(study, "SILENCE", 0.0)
    found.tear_abandoned()
    assert states(found) == ["torn"]
    found.done(trial, 1.0)  # it was not gone after all, and is too late
    assert states(found) == ["torn"]
    assert found.ask(5).trial.params == trial.params


def test_two_processes_work_at_one_study(tuned: Params, configured: Project) -> None:
    both = [start(configured) for _ in range(2)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda process: process.communicate(timeout=120), both))
    assert [process.returncode for process in both] == [0, 0]
    found = Study(configured, tuned, [], ["data"])
    assert states(found) == ["done"] * 12
    assert all(trial.value == trial.values[KEY] for trial in found.trials())


def test_what_is_worse_half_way_is_stopped_once_enough_are_done(tuned: Params, make_params, configured: Project) -> None:
    for pruner in ("median", "halving"):
        found = Study(
            configured, make_params({"tune.startup": 2, "tune.pruner": pruner, "tune.seed": len(pruner)}), [], ["data"]
        )
        for _ in range(2):
            trial = found.ask(9).trial
            assert [found.report(trial, step, 10.0 - step / 75) for step in (75, 150, 225)] == [False] * 3
            found.done(trial, 6.0)
        assert found.report(found.ask(9).trial, 75, 50.0), pruner
        good = found.ask(9).trial
        assert not found.report(good, 75, 1.0), pruner


def test_a_file_that_is_no_database_is_said(make_params, project: Project) -> None:
    project.data.mkdir(exist_ok=True)
    (project.data / study.FILE).write_text("not a database, but a text that is long enough to be looked at as one" * 20)
    with pytest.raises(StudyError, match=r"^data/tune\.db: .*not a database"):
        Study(project, make_params(), [], ["data"])
