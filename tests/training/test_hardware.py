"""One device or several, of either backend: the same training."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.settings.schema import TrainParams
from tests.training import shared

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
@pytest.mark.parametrize("name", ["tensorflow", "jax"])
def test_two_devices_train_as_one_does(name: str, family: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install genloop[{name}]")
    environment = {**os.environ, "KERAS_BACKEND": name, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, shared.__file__, str(tmp_path), family]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    one, two = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(two, one, rtol=1e-4)
    assert len({losses[0] for losses in one}) == len(one), "it does not train"


def settings(**changes: Any) -> TrainParams:
    return TrainParams(**{"init": "scratch", "steps": 100, "batch_size": 12, "seed": 0, "preview_every": 50, **changes})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretends to have these devices."""

    def pretend(*devices: str, on: str = "tensorflow") -> None:
        monkeypatch.setattr(backend, "devices", lambda: list(devices))
        monkeypatch.setattr(backend, "name", lambda: on)

    return pretend


def test_auto_is_bfloat16_and_xla_on_a_gpu_and_neither_on_a_cpu(machine: Any) -> None:
    from pipelines.training import hardware

    machine("cpu:0")
    assert hardware.choose(settings()) == hardware.Hardware(("cpu:0",), "float32", False)
    assert hardware.choose(settings(xla=True, precision="mixed_bfloat16")).as_json() == {
        "devices": 1, "precision": "mixed_bfloat16", "xla": True
    }  # fmt: skip
    machine("gpu:0", "gpu:1")
    assert hardware.choose(settings()) == hardware.Hardware(("gpu:0", "gpu:1"), "mixed_bfloat16", True)
    assert hardware.choose(settings(devices=1, xla=False)) == hardware.Hardware(("gpu:0",), "mixed_bfloat16", False)
    machine("cpu:0", on="jax")
    assert hardware.choose(settings(xla=False)).xla, "Keras knows no other way on JAX"


def test_a_gpu_gets_several_steps_at_once_which_end_with_previews_and_training(machine: Any) -> None:
    from pipelines.training import hardware

    machine("gpu:0")
    one = hardware.choose(settings())
    assert [one.steps_per_call(*ends) for ends in ((1000, 200), (1005, 200), (1001, 200), (70, 35))] == [20, 5, 1, 5]
    machine("gpu:0", "gpu:1")
    assert hardware.choose(settings()).steps_per_call(1000, 200) == 1
    machine("gpu:0", "gpu:1", on="jax")
    assert hardware.choose(settings()).steps_per_call(1000, 200) == 20
    machine("cpu:0")
    assert hardware.choose(settings()).steps_per_call(1000, 200) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"devices": 3}, "train.devices: 3, and this machine has 2"),
        ({"batch_size": 13}, "13 images cannot be shared by 2 devices; set a multiple of 2"),
    ],
)
def test_what_the_machine_has_not_is_said(changes: dict[str, Any], words: str, machine: Any) -> None:
    from pipelines.training import hardware

    machine("gpu:0", "gpu:1")
    with pytest.raises(InputError, match=words):
        hardware.choose(settings(**changes))
