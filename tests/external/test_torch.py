"""The example in PyTorch: few lines were added to an ordinary script, and what the loop asks of it holds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from operations import external_model
from operations.external_model import CheckOptions
from pipelines.core.project import Project
from tests.external import environment, jobs
from tests.external.environment import EXAMPLES, ONE_THREAD

NAME = "torch"
MOST_ADDED = 40  # lines


@pytest.fixture(scope="module")
def python() -> str:
    return environment.python()


def test_few_lines_were_added_to_an_ordinary_training_script() -> None:
    compared = ["git", "diff", "--no-index", "--numstat", "before/train.py", "train.py"]
    counted = subprocess.run(compared, cwd=EXAMPLES / NAME, capture_output=True, text=True, check=False).stdout
    added, removed = map(int, counted.split()[:2])
    assert 0 < removed < added <= MOST_ADDED


@pytest.mark.external
def test_the_script_from_before_trains(python: str, tmp_path: Path) -> None:
    """For two steps, in a copy with other numbers at its top."""
    script = (EXAMPLES / NAME / "before/train.py").read_text()
    script = script.replace("REPORT_EVERY = 1500, 64,", "REPORT_EVERY = 2, 8,").replace(
        'Path("out")', f"Path({str(tmp_path)!r})"
    )
    (tmp_path / "script.py").write_text(script)
    arrays = "x_train=np.zeros((20, 8, 8), np.uint8), y_train=np.arange(20) % 3"
    subprocess.run([python, "-c", f"import numpy as np; np.savez('images.npz', {arrays})"], cwd=tmp_path, check=True)
    variables = {"PYTHONPATH": str(EXAMPLES / NAME), **ONE_THREAD}
    subprocess.run([python, "script.py", "images.npz"], cwd=tmp_path, env=variables, check=True, timeout=300)
    assert (tmp_path / "model.safetensors").is_file()
    assert (tmp_path / "step-2.png").is_file()


@pytest.mark.external
def test_it_keeps_the_contract(python: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLOOP_EXTERNAL_PYTHON", python)
    project = project.with_variables({"GENLOOP_EXTERNAL_PYTHON": python, **ONE_THREAD})
    found = external_model.check(project, EXAMPLES / NAME, CheckOptions("tiny"), lambda line: None)
    assert [result for result in found.results if result.state != "ok"] == []


@pytest.mark.external
def test_one_that_was_killed_goes_on_and_ends_with_the_same_bits(python: str, tmp_path: Path) -> None:
    whole = jobs.write(tmp_path / "whole", NAME, "tiny", steps=9)
    jobs.run(NAME, whole, python)
    cut = jobs.write(tmp_path / "cut", NAME, "tiny", steps=9)
    jobs.run(NAME, cut, python, kill_at=6)
    assert jobs.result(cut) == {}
    assert jobs.run(NAME, cut, python)[0]["step"] in (4, 7)
    assert jobs.result(cut) == jobs.result(whole)


@pytest.mark.external
def test_it_goes_on_from_the_champion(python: str, tmp_path: Path) -> None:
    first = jobs.write(tmp_path / "first", NAME, "tiny", steps=60)
    jobs.run(NAME, first, python)
    losses = []
    for name, champion in (("further", str(tmp_path / "first/result")), ("anew", None)):
        job = jobs.write(tmp_path / name, NAME, "tiny", steps=1, champion=champion)
        losses.append(jobs.run(NAME, job, python)[0]["loss"])
    assert losses[0] < 0.8 * losses[1]


@pytest.mark.external
def test_a_champion_of_another_width_is_left_alone(python: str, tmp_path: Path) -> None:
    first = jobs.write(tmp_path / "first", NAME, "tiny")
    jobs.run(NAME, first, python)
    further = jobs.write(
        tmp_path / "further", NAME, "small", champion=str(tmp_path / "first/result"), champion_params={"width": 16}
    )
    anew = jobs.write(tmp_path / "anew", NAME, "small")
    for job in (further, anew):
        jobs.run(NAME, job, python)
    assert jobs.result(further) == jobs.result(anew)


@pytest.mark.external
def test_rows_of_no_weight_teach_nothing(python: str, tmp_path: Path) -> None:
    job = jobs.write(tmp_path, NAME, "tiny", steps=1)
    jobs.write_rows(tmp_path / "data/part-0.parquet", 8, [0.0, 0.0])
    assert jobs.run(NAME, job, python)[0]["loss"] == 0
