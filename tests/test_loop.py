"""The whole graph on tiny data: `dvc repro` by hand in a fresh copy of the project, and what DVC can then do with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipelines.settings.load import update_params
from tests.conftest import NO_FEEDBACK, REPOSITORY

COPIED = ("commands", "examples/external", "flows", "operations", "pipelines", "workspace", ".dvc/config", ".dvc/.gitignore",
          ".dvcignore", ".gitignore", "dvc.yaml", "genloop.py", "params.yaml", "pyproject.toml",
          "requirements.lock")  # fmt: skip
TINY = ("image.size=8", "model.preset=tiny", "train.steps=40", "train.preview_every=20", "reference.steps=30",
        "evaluate.samples=250")  # fmt: skip


def shell(folder: Path, *command: str, fails: bool = False) -> str:
    """What `command` prints, run as by a user who stands in `folder` with the environment's programs on PATH."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PREFECT", "DVC"))}
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder.parent), "NO_COLOR": "1"}
    env["PYTHONPATH"] = str(folder)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=560)
    assert (done.returncode != 0) == fails, f"{' '.join(command)}:\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def git(folder: Path, *arguments: str) -> str:
    return shell(folder, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments)


def copy_project(folder: Path) -> None:
    """Of this repository, without what its own runs and raters have left."""
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(REPOSITORY / name, folder / name)
    (folder / "data").mkdir()
    (folder / "data/feedback.json").write_text(NO_FEEDBACK)


def fingerprints(folder: Path) -> dict[str, str]:
    lock = YAML(typ="safe").load((folder / "dvc.lock").read_text())
    return {out["path"]: out["md5"] for entry in lock["stages"].values() for out in entry["outs"]}


def stale(folder: Path) -> set[str]:
    return set(json.loads(shell(folder, "dvc", "status", "--json").splitlines()[-1]))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, committed, through which `dvc repro` went once."""
    folder = tmp_path_factory.mktemp("loop") / "project"
    copy_project(folder)
    git(folder, "init", "--quiet")
    update_params(folder / "params.yaml", settings=TINY)
    shell(folder, "dvc", "repro")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first run")
    return folder


def test_every_output_is_there_and_data_stays_out_of_git(project: Path) -> None:
    for path in fingerprints(project):
        assert (project / path).exists(), path
    tracked = git(project, "ls-files").split()
    assert "dvc.lock" in tracked
    assert [path for path in tracked if path.startswith("data/")] == ["data/feedback.json"]
    assert git(project, "status", "--porcelain") == ""


def test_reports_account_for_every_row(project: Path) -> None:
    rows = 1797
    for name in ("ingest", "validate", "clean"):
        report = json.loads((project / f"data/reports/{name}.json").read_text())
        assert report["rows_in"] == rows == report["rows_out"] + sum(report["refused"].values())
        rows = report["rows_out"]


def test_a_second_run_has_nothing_to_do(project: Path) -> None:
    assert stale(project) == set()
    assert "Data and pipelines are up to date" in shell(project, "dvc", "repro")


def test_metrics_are_shown_and_compared(project: Path) -> None:
    shown = json.loads(shell(project, "dvc", "metrics", "show", "--json"))
    metrics = shown[""]["data"]["data/reports/metrics.json"]["data"]
    assert {
        "fid",
        "fid_low",
        "fid_high",
        "fid_floor",
        "told_apart",
        "precision",
        "class_accuracy",
        "benchmark_id",
        "samples",
    } <= set(metrics)
    path = project / "data/reports/metrics.json"
    content = path.read_bytes()
    path.unlink()
    path.write_text(json.dumps({**metrics, "fid": metrics["fid"] + 1}))
    try:
        changed = json.loads(shell(project, "dvc", "metrics", "diff", "--json").splitlines()[-1])
        difference = changed["data/reports/metrics.json"]["fid"]
        assert difference["new"] - difference["old"] == pytest.approx(1)
    finally:
        path.write_bytes(content)


def test_plots_are_made(project: Path, tmp_path: Path) -> None:
    shell(project, "dvc", "plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots/index.html").read_text()
    assert "discriminator_loss" in page
    assert "class_accuracies" in page
    assert "precision and recall by size of neighbourhood" in page
    pictures = {path.name.rpartition("_")[2] for path in tmp_path.rglob("*.png")}
    assert {"samples.png", "training-samples.png", "real.png", "neighbours.png", "apart.png"} <= pictures


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ("pipelines/models/gan.py", {"train", "evaluate"}),
        ("pipelines/models/gan-dense.py", set()),
        ("pipelines/core/grids.py", {"validate", "curate", "approval", "evaluate"}),
        ("pipelines/metrics/fid.py", {"evaluate"}),
        ("pipelines/core/progress.py", set()),
        ("pipelines/rules/blank.py", {"validate", "clean", "curate"}),
        ("pipelines/sources/digits.py", {"ingest"}),
        ("pipelines/register.py", {"register"}),
    ],
)
def test_a_change_of_code_makes_its_own_stages_stale_and_no_others(project: Path, changed: str, expected: set[str]) -> None:
    path = project / changed
    before = path.read_text()
    path.write_text(before + "\n# a change\n")
    try:
        assert stale(project) == expected
    finally:
        path.write_text(before)


@pytest.mark.slow
def test_data_goes_to_a_remote_and_a_fresh_clone_gets_it_back_and_registers_again(project: Path, tmp_path: Path) -> None:
    shell(project, "dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    shell(project, "dvc", "push")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project), str(clone))
    shell(clone, "dvc", "remote", "add", "--local", "--default", "store", str(tmp_path / "store"))
    shell(clone, "dvc", "remote", "modify", "--local", "store", "verify", "true")
    shell(clone, "dvc", "pull", "--allow-missing")
    assert fingerprints(clone) == fingerprints(project)
    assert stale(clone) == {"curate", "register"}  # what names raters, and what speaks of one registry, is not shared
    assert "version 1 of genloop-digits, the champion" in shell(clone, "dvc", "repro")
    assert stale(clone) == set()


def test_the_command_knows_the_same_state_and_draws(project: Path, tmp_path: Path) -> None:
    status = json.loads(shell(project, "python", "genloop.py", "status", "--json"))
    assert set(status) > {"champion", "challenger", "events", "stages"}
    assert set(status["stages"].values()) == {"fresh"}
    assert status["champion"]["version"] == 1
    assert status["champion"]["benchmark_id"] == json.loads((project / "data/reports/metrics.json").read_text())["benchmark_id"]
    out = tmp_path / "images.npz"
    shell(project, "python", "genloop.py", "generate", "--count", "12", "--seed", "3", "--out", str(out))
    with np.load(out) as arrays:
        assert arrays["images"].shape == (12, 8, 8, 1)
        assert arrays["images"].dtype == np.uint8
        assert arrays["seeds"].tolist() == list(range(3, 15))


def test_a_stage_that_fails_says_why_once_and_leaves_nothing_half_done(project: Path) -> None:
    params = project / "params.yaml"
    before, model = params.read_text(), fingerprints(project)["data/model"]
    params.write_text(before.replace("batch_size: 128", "batch_size: 100000"))
    try:
        said = shell(project, "python", "-m", "pipelines.train", fails=True)
        assert said.count("fewer than train.batch_size") == 1
        assert "Traceback" not in said
    finally:
        params.write_text(before)
    assert fingerprints(project)["data/model"] == model
    assert stale(project) == set()
