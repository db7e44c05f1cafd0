"""genloop tune: from a project's rows to an overlay, through kills, failures and wrong settings."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from typer.testing import CliRunner

import genloop
from pipelines.core import backend
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.settings.load import load_params, parse_yaml, update_params
from pipelines.tuning import study
from tests.conftest import REPOSITORY

RATE, BATCH = "model.change.learning_rate", "train.batch_size"

# `genloop tune`, which in the middle of its second trial says so on stdout and waits to be stopped.
WAITING = """
import signal
from pipelines.core import backend
from pipelines.core.processes import set_defaults
set_defaults()
backend.load()
from pipelines.training.monitor import TrainingMonitor

follow = TrainingMonitor.on_train_batch_end

def wait(self, batch, logs=None):
    follow(self, batch, logs)
    if self.run.name == "trial 1" and self.step == 15:
        print("in the middle of trial 1", flush=True)
        signal.pause()

TrainingMonitor.on_train_batch_end = wait
import genloop
genloop.main()
"""


def call(project: Project, *arguments: str) -> SimpleNamespace:
    command = ["tune", "--project", str(project.root), *arguments]
    result = CliRunner(env={**dict.fromkeys(os.environ), **project.environment}).invoke(genloop.app, command)
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def kept(project: Project) -> dict[str, str]:
    """Digests of all that a project's stages have made, and of its settings."""
    found = (path for path in [*project.data.glob("**/*"), project.params_file] if path.is_file())
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in found
        if path.name not in ("tune.db", "tuned.yaml", "tuned.png")
    }


@pytest.mark.slow
def test_a_study_ends_in_an_overlay_a_plot_and_runs(tunable: Project) -> None:
    before = kept(tunable)
    done = call(tunable, "--json")
    assert done.code == 0, done.err
    assert kept(tunable) == before
    assert not tunable.checkpoints.exists()
    assert not list(tunable.logs.glob("train/*"))
    found = json.loads(done.out)
    first, second = found["trials"]
    assert (found["metric"], found["better"], first["state"]) == ("kid", "lower", "done")
    assert first["settings"] == {RATE: 0.002, BATCH: 32}, "what the project has now"
    assert [*first["looks"]] == ["2", "4", "6"]
    assert second["state"] in ("done", "pruned")
    best = min((trial for trial in (first, second) if trial["value"] is not None), key=lambda trial: trial["value"])
    assert found["best"] == {"trial": best["number"], "value": best["value"], "settings": best["settings"]}
    assert "trial 0, 1 of 2: kid " in done.err

    params = load_params(tunable.params_file)
    assert parse_yaml((tunable.root / found["overlay"]).read_text(), "overlay") == {
        "model": {"change": {"learning_rate": best["settings"][RATE]}},
        "train": {"batch_size": best["settings"][BATCH]},
    }
    laid = update_params(tunable.params_file, [tunable.root / found["overlay"]])  # as `genloop run --params` does
    assert laid.model.numbers["learning_rate"] == best["settings"][RATE]
    assert laid.tune == params.tune
    with Image.open(tunable.root / found["plot"]) as plot:
        assert plot.width > 800

    registry = Registry.open(tunable, params.registry)
    client = registry.client
    runs = {run.data.tags["mlflow.runName"]: run for run in client.search_runs([registry.experiment()])}
    assert set(runs) == {found["study"], "trial 0", "trial 1"}
    trial, parent = runs["trial 0"], runs[found["study"]]
    assert trial.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert trial.data.params == {RATE: "0.002", BATCH: "32"}
    assert trial.data.metrics["kid"] == first["value"]
    assert {point.step for point in client.get_metric_history(trial.info.run_id, "kid_half_way")} == {2, 4, 6}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert not client.search_registered_models()
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} == {"tuned.yaml", "tuned.png"}


@pytest.mark.slow
def test_there_is_nothing_to_do_for_a_study_that_is_whole_and_more_can_be_asked_for(tunable: Project, monkeypatch) -> None:
    from pipelines.tuning import search

    def pretended(study, trial, experiment, name: str) -> None:
        study.report(trial, 2, 3.0)
        study.done(trial, trial.params[RATE])

    monkeypatch.setattr(search, "run_trial", pretended)
    assert call(tunable).code == 0
    monkeypatch.setattr(backend, "load", lambda *_: pytest.fail("nothing was to be trained"))
    again = call(tunable, "--out", "best.yaml")
    assert again.code == 0
    assert "2 done, 0 pruned, 0 failed; plot: " in again.out
    assert "genloop run --params" in again.out
    assert Path("best.yaml").is_file()
    assert Path("best.png").is_file()
    monkeypatch.setattr(backend, "load", lambda *_: None)
    more = call(tunable, "--trials", "3", "--json")
    assert len(json.loads(more.out)["trials"]) == 5


def test_a_trial_that_comes_to_nothing_does_not_end_the_study(tunable: Project, monkeypatch) -> None:
    backend.load()
    from pipelines.tuning import trial

    ends = iter([1.0, GenloopError("the training diverged at step 3: a loss is not finite"), ValueError("no fit\nat a place")])

    def ended(*_: object) -> float:
        end = next(ends, None) or GenloopError("it collapsed")
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(trial, "run", ended)
    done = call(tunable, "--trials", "3", "--json")
    assert done.code == 0, done.err
    reasons = [found["reason"] for found in json.loads(done.out)["trials"]]
    assert reasons == [None, "the training diverged at step 3: a loss is not finite", "ValueError: no fit"]
    assert "failed: the training diverged at step 3" in done.err

    none = call(tunable, "--set", "tune.seed=1")
    assert none.code == 1
    assert "none of 2 trials came to an end; the last one: it collapsed" in none.err


@pytest.mark.slow
def test_settings_that_make_a_training_diverge_end_their_trial_alone(tunable: Project) -> None:
    space = f"tune.space={{{RATE}: [0.002, 1000000.0]}}"
    done = call(tunable, "--set", space, "--set", "tune.pruner=none", "--trials", "4", "--json")
    assert done.code == 0, done.err
    trials = json.loads(done.out)["trials"]
    wild = [trial for trial in trials if trial["settings"][RATE] > 1]
    assert {trial["state"] for trial in trials if trial["settings"][RATE] < 1} == {"done"}
    assert {trial["state"] for trial in wild} == {"failed"}
    assert all("diverged" in trial["reason"] or "finite" in trial["reason"] for trial in wild), wild


@pytest.mark.slow
def test_a_metric_that_cannot_be_measured_stops_at_once(tunable: Project) -> None:
    done = call(tunable, "--set", "tune.metric=fid", "--set", "tune.samples=20")
    assert done.code == 2
    assert "tune.metric: fid needs" in done.err
    assert "tune.samples generates 20 images" in done.err


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("tune.space={train.batch_size: [32, 1]}", "train.batch_size: input should be greater than or equal to 2 (came 1)"),
        ("tune.space={train.batchsize: [32]}", "did you mean `train.batch_size`?"),
        ("tune.space={}", "tune.space is empty"),
        ("tune.metrik=fid", "did you mean `metric`?"),
    ],
)
def test_wrong_settings_stop_before_anything_is_loaded(tunable: Project, setting: str, words: str) -> None:
    program = (
        "import sys, genloop\n"
        "try:\n    genloop.app()\nexcept SystemExit as end:\n    code = end.code\n"
        "heavy = {'tensorflow', 'keras', 'mlflow', 'prefect', 'optuna', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\nsys.exit(code)"
    )
    command = [sys.executable, "-c", program, "tune", "--set", setting]
    environment = {**tunable.environment, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tunable.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert not (tunable.data / "tune.db").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_study_that_was_stopped_goes_on(tunable: Project, number: signal.Signals) -> None:
    environment = {**tunable.environment, "PYTHONPATH": str(REPOSITORY)}
    settings = ["--set", "tune.steps=40", "--set", "tune.pruner=none", "--set", "tune.trials=3"]
    command = [sys.executable, "-c", WAITING, "tune", *settings]
    process = subprocess.Popen(
        command, cwd=tunable.root, env=environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle of trial 1\n", process.communicate()
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert "`genloop tune` goes on" in rest
        assert (tunable.reports / "tuned.yaml").exists()

    done = call(tunable, "--json")
    assert done.code == 0, done.err
    trials = json.loads(done.out)["trials"]
    assert [trial["state"] for trial in trials] == ["done", "torn", "done", "done"]
    assert trials[2]["settings"] == trials[1]["settings"]
    assert len({trial["settings"][RATE] for trial in trials}) == 3
    registry = Registry.open(tunable, load_params(tunable.params_file).registry)
    runs = registry.client.search_runs([registry.experiment()])
    statuses = {run.data.tags["mlflow.runName"]: run.info.status for run in runs}
    assert statuses.pop("trial 1") == "FAILED"
    assert set(statuses.values()) == {"FINISHED"}
    assert len(statuses) == 4
    assert (tunable.data / study.FILE).exists()


@pytest.mark.slow
def test_cross_validation_trains_once_for_each_fold(tunable: Project) -> None:
    done = call(tunable, "--set", "tune.folds=3", "--json")
    assert done.code == 0, done.err
    first = json.loads(done.out)["trials"][0]
    assert [*first["looks"]] == ["2", "4", "6", "8", "10", "12", "14", "16", "18", "20", "22"]
