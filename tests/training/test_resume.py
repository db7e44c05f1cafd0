"""A training goes on after SIGKILL as if nothing had happened."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend, files, paths
from pipelines.stage import explain
from tests.training import killed, rows

backend.load()

from pipelines.training import checkpoint, watch  # noqa: E402

FAMILIES = [pytest.param(name, marks=[pytest.mark.slow] if name != "gan" else []) for name in sorted(catalogue.MODELS)]


def start(folder: Path, family: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(killed.REPOSITORY)}
    return subprocess.Popen([sys.executable, killed.__file__, family], cwd=folder, env=environment)


def wait_for(found, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 120
    while not found():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("family", FAMILIES)
def test_resume_after_sigkill_is_bit_identical(family: str, project: Path, make_params) -> None:
    rows.fill()
    process = start(project, family)
    wait_for(lambda: len(list(paths.CHECKPOINTS.glob("*/step-*.safetensors"))) == 2, process)
    time.sleep(0.12)  # into the middle of an epoch
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not paths.MODEL.exists()

    resumed = rows.trained(make_params, killed.changes(family))
    report = json.loads((paths.REPORTS / "train.json").read_text())
    assert 10 <= report["resumed_from"] < 30
    history = (paths.REPORTS / "training.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history[1:]] == ["5", "10", "15", "20", "25", "30"]

    straight = rows.trained(make_params, killed.changes(family))  # the checkpoints are gone by now
    assert json.loads((paths.REPORTS / "train.json").read_text())["resumed_from"] == 0
    assert rows.equal(resumed, straight)


class StopError(Exception):
    pass


def test_a_full_disk_stops_it_and_leaves_the_last_whole_checkpoint(project: Path, make_params, monkeypatch) -> None:
    rows.fill()
    write = files.write

    def full(path: Path, content: bytes | str) -> None:
        if "step-00000006" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.files, "write", full)
        with pytest.raises(OSError, match="No space left") as raised:
            rows.trained(make_params)
    assert explain(raised.value)[0].startswith("the disk is full (")
    assert [path.stem for path in paths.CHECKPOINTS.glob("*/step-*.safetensors")] == ["step-00000003"]
    assert not paths.MODEL.exists()
    resumed = rows.trained(make_params)
    assert json.loads((paths.REPORTS / "train.json").read_text())["resumed_from"] == 3
    assert rows.equal(resumed, rows.trained(make_params))


def interrupt_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    follow = watch.Watch.on_train_batch_end

    def stop(self, batch, logs=None) -> None:
        follow(self, batch, logs)
        if self.step == step:
            raise StopError

    monkeypatch.setattr(watch.Watch, "on_train_batch_end", stop)


@pytest.mark.parametrize("damage", ["torn", "flipped", "empty"])
def test_an_unreadable_newest_checkpoint_falls_back_to_the_one_before(
    damage: str, project: Path, make_params, monkeypatch
) -> None:
    rows.fill()
    changes = {"train.steps": 12}
    with monkeypatch.context() as patch:
        interrupt_at(10, patch)
        with pytest.raises(StopError):
            rows.trained(make_params, changes)
    files = sorted(paths.CHECKPOINTS.glob("*/step-*.safetensors"))
    assert [path.stem for path in files] == ["step-00000006", "step-00000009"]  # two are kept
    whole = files[-1].read_bytes()
    spoiled = {"torn": whole[:-100], "flipped": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "empty": b""}[damage]
    files[-1].write_bytes(spoiled)

    resumed = rows.trained(make_params, changes)
    assert json.loads((paths.REPORTS / "train.json").read_text())["resumed_from"] == 6
    assert rows.equal(resumed, rows.trained(make_params, changes))


def test_a_kill_between_training_and_saving_costs_no_training(project: Path, make_params, monkeypatch) -> None:
    rows.fill()
    with monkeypatch.context() as patch:
        patch.setattr("pipelines.models.base.save", lambda *args: (_ for _ in ()).throw(StopError))
        with pytest.raises(StopError):
            rows.trained(make_params)
    assert not paths.MODEL.exists()
    resumed = rows.trained(make_params)
    assert json.loads((paths.REPORTS / "train.json").read_text())["resumed_from"] == 6
    assert rows.equal(resumed, rows.trained(make_params))


def test_other_settings_do_not_find_the_checkpoint(project: Path, make_params, monkeypatch) -> None:
    rows.fill()
    with monkeypatch.context() as patch:
        interrupt_at(4, patch)
        with pytest.raises(StopError):
            rows.trained(make_params)
    rows.trained(make_params, {"train.seed": 9})
    assert json.loads((paths.REPORTS / "train.json").read_text())["resumed_from"] == 0


def test_only_the_newest_few_trainings_are_kept(tmp_path: Path) -> None:
    for number in range(6):
        folder = tmp_path / f"key-{number}"
        folder.mkdir()
        os.utime(folder, (number, number))
    checkpoint.prune(tmp_path / "key-0", tmp_path)
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
