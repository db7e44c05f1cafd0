"""The loop with simulated raters from end to end: `genloop simulate` in a project of tiny settings."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from pipelines.settings.load import update_params
from tests.test_loop import TINY, copy_project, git, shell

SIMULATION = """
taste: {name: stroke_weight}
turns: 1
votes: 400
attackers: 0.05
reports: 2
uploads: 3
fresh: 200
params:
  train: {steps: 20}
  evaluate: {samples: 200}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    copy_project(folder)
    (folder / "simulation.yaml").write_text(SIMULATION)
    git(folder, "init", "--quiet")
    update_params(folder / "params.yaml", settings=TINY)
    shell(folder, "dvc", "repro")
    return folder


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file, but for what DVC and locks leave of being asked."""
    left_out = (".dvc/tmp", "logs", "simulation/", "__pycache__")
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part in str(path.relative_to(folder)) for part in left_out)
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_simulation_from_end_to_end(project: Path) -> None:
    before = everything(project)
    printed = shell(project, "python", "genloop.py", "simulate", "simulation.yaml", "--set", "seed=3", "--json")
    turns = json.loads(printed[printed.index("[\n  {\n") : printed.rindex("]") + 1])
    assert everything(project) == before

    out = project / "simulation"
    assert [turn["turn"] for turn in turns] == [0, 1]
    assert [turn["version"] for turn in turns] == [1, 2]
    assert turns[0]["generated"] == turns[0]["votes"] == 0
    assert turns[1]["votes"] == 400
    assert turns[1]["set_aside_attacker"] is not None
    for turn in turns:
        assert turn["approval_low"] <= turn["approval"] <= turn["approval_high"]
        assert turn["fid"] > 0
    with (out / "turns.csv").open(newline="") as file:
        assert [row["turn"] for row in csv.DictReader(file)] == ["0", "1"]
    assert json.loads((out / "simulation.json").read_text())["settings"]["seed"] == 3
    for picture in ("turns.png", "samples-turn-0.png", "samples-turn-1.png"):
        assert Image.open(out / picture).size > (100, 100)

    copied = out / "project"
    # 400 votes and 3 uploads, and a report of each of the 2 samples that the taste dislikes, if it dislikes so many
    assert 403 <= json.loads((copied / "data/reports/feedback.json").read_text())["events"] <= 405
    assert "init: champion" in (copied / "params.yaml").read_text()
    state = json.loads(shell(copied, "python", "genloop.py", "status", "--json"))
    assert state["champion"]["version"] == 2
    assert set(state["stages"].values()) == {"fresh"}
    assert int(git(copied, "rev-list", "--count", "HEAD")) == 2  # the copy, and its fold


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_leaves_the_turns_that_were_done(project: Path) -> None:
    command = [sys.executable, "genloop.py", "simulate", "simulation.yaml", "--set", "turns=50", "--out", "stopped/simulation"]
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "PREFECT", "DVC"))}
    process = subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = iter(process.stderr.readline, "")
    assert any(line.startswith("turn 1 of 50") for line in lines), process.communicate()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "genloop: interrupted" in err
    assert "Traceback" not in err
    assert "recall" in out
    assert len((project / "stopped/simulation/turns.csv").read_text().splitlines()) >= 2


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_project_whose_trainings_go_on_begins_with_its_champion(project: Path) -> None:
    """Its copy has no registry to go on from, and as few steps from nothing would be another model."""
    before = (project / "params.yaml").read_bytes()
    try:
        update_params(project / "params.yaml", settings=["train.init=champion", "train.steps=20"])
        shell(project, "python", "genloop.py", "simulate", "simulation.yaml", "--out", "warm")
    finally:
        (project / "params.yaml").write_bytes(before)
    folders = (project, project / "warm/project")
    for folder in folders:
        shell(folder, "python", "genloop.py", "generate", "--version", "1", "--count", "4", "--out", "drawn.npz")
    assert (folders[0] / "drawn.npz").read_bytes() == (folders[1] / "drawn.npz").read_bytes()
