"""The example of LoRA, on a tiny pipeline of random weights: by itself, and once around the whole loop."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from operations import external_model
from operations.external_model import CheckOptions
from pipelines.core.project import Project
from pipelines.settings.load import update_params
from tests.external import environment, jobs
from tests.external.environment import EXAMPLES, ONE_THREAD
from tests.test_loop import TINY, copy_project, git, shell

NAME = "diffusers-lora"
ADAPTER = "pytorch_lora_weights.safetensors"
SETTINGS = ("model.family=external", f"model.external=examples/external/{NAME}", "model.preset=small", "train.steps=20",
            "train.batch_size=16", "train.preview_every=10", "evaluate.samples=150", "promotion.max_samples=150",
            "promotion.noise=0", "feedback.min_events=10")  # fmt: skip
RATERS, SAMPLES = 5, 40

pytestmark = [pytest.mark.external, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def python() -> str:
    return environment.python()


def test_it_keeps_the_contract(python: str, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENLOOP_EXTERNAL_PYTHON", python)
    project = project.with_variables({"GENLOOP_EXTERNAL_PYTHON": python, **ONE_THREAD})
    found = external_model.check(project, EXAMPLES / NAME, CheckOptions(size=8), lambda line: None)
    assert [result for result in found.results if result.state != "ok"] == []


def test_a_training_goes_on_after_a_kill_and_from_the_champion_s_adapter(python: str, tmp_path: Path) -> None:
    whole = jobs.write(tmp_path / "whole", NAME, "small", steps=6)
    jobs.run(NAME, whole, python)
    cut = jobs.write(tmp_path / "cut", NAME, "small", steps=6)
    jobs.run(NAME, cut, python, kill_at=3)
    jobs.run(NAME, cut, python)
    assert jobs.result(cut) == jobs.result(whole)
    params = json.loads(whole.read_text())["params"]
    still = {"params": {**params, "learning_rate": 0.0}, "steps": 1, "champion": str(tmp_path / "whole/result")}
    further = jobs.write(tmp_path / "further", NAME, "small", **still)
    jobs.run(NAME, further, python)
    assert jobs.result(further)[ADAPTER] == jobs.result(whole)[ADAPTER]


def test_a_champion_of_another_rank_is_left_alone(python: str, tmp_path: Path) -> None:
    jobs.run(NAME, jobs.write(tmp_path / "first", NAME, "small", steps=1), python)
    champion = {"champion": str(tmp_path / "first/result"), "champion_params": {"base": "tiny", "rank": 4}}
    params = {"base": "tiny", "rank": 2, "learning_rate": 0.001, "steps": 4, "guidance": 1.5, "batch": 8}
    further = jobs.write(tmp_path / "further", NAME, "small", steps=1, params=params, **champion)
    anew = jobs.write(tmp_path / "anew", NAME, "small", steps=1, params=params)
    for job in (further, anew):
        jobs.run(NAME, job, python)
    assert jobs.result(further) == jobs.result(anew)


def test_the_loop_turns_once(python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, register, draw, vote, fold, train again from the champion's adapter, and ask the gate."""
    for name, value in {"GENLOOP_EXTERNAL_PYTHON": python, **ONE_THREAD}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "project"
    copy_project(folder)
    git(folder, "init", "--quiet")
    update_params(folder / "params.yaml", settings=(*TINY, *SETTINGS))
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "settings")
    genloop(folder, "run")
    first = status(folder)
    assert first["champion"]["version"] == 1
    assert "path_length" in first["champion"]["metrics"]

    genloop(folder, "generate", "--count", str(SAMPLES), "--out", "images.npz")
    with np.load(folder / "images.npz") as arrays:
        images, seeds, labels = arrays["images"], arrays["seeds"], arrays["labels"]
    assert images.shape == (SAMPLES, 8, 8, 1)
    vote(folder, seeds, labels, images.mean(axis=(1, 2, 3)) > np.median(images.mean(axis=(1, 2, 3))))
    genloop(folder, "import-feedback", "votes.jsonl")
    genloop(folder, "fold")
    assert status(folder)["events"] == {"new": 0, "folded": RATERS * SAMPLES}

    genloop(folder, "run", "--set", "train.init=champion")
    report = json.loads((folder / "data/reports/train.json").read_text())
    assert report["parent_version"] == 1
    weights = folder / "data/model/weights" / ADAPTER
    assert set(safetensors_dtypes(weights)) == {"F32"}
    now = status(folder)  # a version that the gate has not promoted stays the challenger
    assert 2 in [now[alias]["version"] for alias in ("champion", "challenger") if now[alias]]
    assert now["last_verdict"]["challenger"] == 2
    assert report["rows_from_feedback"] > 0


def genloop(folder: Path, *arguments: str) -> str:
    return shell(folder, "python", "genloop.py", *arguments)


def status(folder: Path) -> dict:
    found: dict = json.loads(genloop(folder, "status", "--json"))
    return found


def vote(folder: Path, seeds: np.ndarray, labels: np.ndarray, liked: np.ndarray) -> None:
    """Raters of one mind: they like what is brighter."""
    lines = []
    for rater in range(RATERS):
        for seed, label, good in zip(seeds.tolist(), labels.tolist(), liked.tolist(), strict=True):
            event = {"id": f"{rater}-{seed}", "type": "vote", "rater": f"rater-{rater}", "value": 1 if good else -1}
            event |= {"at": f"2026-01-31T12:{rater:02}:{seed % 60:02}Z", "sample": {"version": 1, "seed": seed, "label": label}}
            lines.append(json.dumps(event))
    (folder / "votes.jsonl").write_text("\n".join(lines) + "\n")


def safetensors_dtypes(path: Path) -> list[str]:
    """Types of the arrays in such a file, by its header."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    return [entry["dtype"] for name, entry in header.items() if name != "__metadata__"]
