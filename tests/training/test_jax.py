"""The same models and the same training on Keras' other backend, which a process can only choose once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
SAME = [
    "models/test_draw.py",
    "models/test_families.py",
    "training/test_train.py::test_it_leaves_a_model_that_draws_and_says_how_it_went",
    "training/test_train.py::test_the_same_seed_gives_the_same_weights_and_another_others",
    "training/test_resume.py::test_a_kill_between_training_and_saving_costs_no_training",
    "training/test_resume.py::test_an_unreadable_newest_checkpoint_falls_back_to_the_one_before",
]


@pytest.mark.slow
def test_models_and_training_do_the_same_under_jax(tmp_path: Path) -> None:
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed: pip install jax")
    tests = [str(TESTS / name) for name in SAME]
    # pytest's own settings are left out: they name plugins that a plain JAX environment need not have.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        os.devnull,
        "--rootdir",
        str(TESTS),
        "-p",
        "no:cacheprovider",
        *tests,
    ]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
