"""A training goes on after SIGKILL as if nothing had happened."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend, files
from pipelines.core.project import Project
from pipelines.stage import explain
from tests.training import killed, rows

backend.load()

from pipelines.training import checkpoint, checkpoint_folders, monitor  # noqa: E402

FAMILIES = [pytest.param(name, marks=[pytest.mark.slow] if name != "gan" else []) for name in sorted(catalogue.MODELS)]


@pytest.mark.parametrize("family", FAMILIES)
def test_resume_after_sigkill_is_bit_identical(family: str, project: Project, make_params) -> None:
    rows.fill(project)
    command = [sys.executable, killed.__file__, family, "13"]  # in the middle of an epoch
    with subprocess.Popen(command, cwd=project.root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert "step 13" in map(str.strip, process.stdout), "it ended before it could be killed"
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert len(list(project.checkpoints.glob("*/step-*.safetensors"))) == 2
    assert not project.model.exists()

    resumed = rows.trained(project, make_params, killed.changes(family))
    report = json.loads((project.reports / "train.json").read_text())
    assert report["resumed_from"] == 10
    history = (project.reports / "training.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history[1:]] == ["5", "10", "15", "20", "25", "30"]

    straight = rows.trained(project, make_params, killed.changes(family))  # the checkpoints are gone by now
    assert json.loads((project.reports / "train.json").read_text())["resumed_from"] == 0
    assert rows.equal(resumed, straight)


class StopError(Exception):
    pass


def test_a_full_disk_stops_it_and_leaves_the_last_whole_checkpoint(project: Project, make_params, monkeypatch) -> None:
    rows.fill(project)
    write = files.write

    def full(path: Path, content: bytes | str) -> None:
        if "step-00000006" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.files, "write", full)
        with pytest.raises(OSError, match="No space left") as raised:
            rows.trained(project, make_params)
    assert explain(raised.value)[0].startswith("the disk is full (")
    assert [path.stem for path in project.checkpoints.glob("*/step-*.safetensors")] == ["step-00000003"]
    assert not project.model.exists()
    resumed = rows.trained(project, make_params)
    assert json.loads((project.reports / "train.json").read_text())["resumed_from"] == 3
    assert rows.equal(resumed, rows.trained(project, make_params))


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    follow = monitor.TrainingMonitor.on_train_batch_end

    def stop(self, batch, logs=None) -> None:
        follow(self, batch, logs)
        if self.step == step:
            raise StopError

    monkeypatch.setattr(monitor.TrainingMonitor, "on_train_batch_end", stop)


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty"])
def test_an_unreadable_newest_checkpoint_falls_back_to_the_one_before(
    damage: str, project: Project, make_params, monkeypatch
) -> None:
    rows.fill(project)
    changes = {"train.steps": 12}
    with monkeypatch.context() as patch:
        interrupt_at(10, patch)
        with pytest.raises(StopError):
            rows.trained(project, make_params, changes)
    files = sorted(project.checkpoints.glob("*/step-*.safetensors"))
    assert [path.stem for path in files] == ["step-00000006", "step-00000009"]  # two are kept
    whole = files[-1].read_bytes()
    spoiled = {"torn": whole[:-100], "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "empty": b""}[damage]
    files[-1].write_bytes(spoiled)

    resumed = rows.trained(project, make_params, changes)
    assert json.loads((project.reports / "train.json").read_text())["resumed_from"] == 6
    assert rows.equal(resumed, rows.trained(project, make_params, changes))


def test_a_kill_between_training_and_saving_costs_no_training(project: Project, make_params, monkeypatch) -> None:
    rows.fill(project)
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.models.base.save", lambda *args: (_ for _ in ()).throw(StopError))
        with pytest.raises(StopError):
            rows.trained(project, make_params)
    assert not project.model.exists()
    resumed = rows.trained(project, make_params)
    assert json.loads((project.reports / "train.json").read_text())["resumed_from"] == 6
    assert rows.equal(resumed, rows.trained(project, make_params))


def test_other_settings_do_not_find_the_checkpoint(project: Project, make_params, monkeypatch) -> None:
    rows.fill(project)
    with monkeypatch.context() as patch:
        interrupt_at(4, patch)
        with pytest.raises(StopError):
            rows.trained(project, make_params)
    rows.trained(project, make_params, {"train.seed": 9})
    assert json.loads((project.reports / "train.json").read_text())["resumed_from"] == 0


def test_only_the_newest_few_trainings_are_kept(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / f"key-{number}"
        folder.mkdir()
        os.utime(folder, (number, number))
    checkpoint_folders.prune(tmp_path / "key-0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key-0", "key-4", "key-5"]


def test_a_digest_tells_every_change() -> None:
    tensors = {"a": np.zeros(3, np.float32), "b": np.ones(2, np.int32)}
    changed = [
        {**tensors, "a": np.array([0, 0, 1e-30], np.float32)},
        {**tensors, "a": np.zeros((3, 1), np.float32)},
        {**tensors, "b": np.ones(2, np.uint32)},
        {"a": tensors["a"]},
    ]
    assert all(checkpoint.digest(other) != checkpoint.digest(tensors) for other in changed)
