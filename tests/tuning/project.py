"""A tiny project on digits, as it is before a model is trained: what `genloop tune` reads."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from pipelines import approval, clean, curate, ingest, reference, validate
from pipelines.core import params
from tests.conftest import NO_FEEDBACK, REPOSITORY

SPACE = {"model.change.learning_rate": {"low": 0.0005, "high": 0.01, "log": True}, "train.batch_size": [16, 32]}
TUNE = {"trials": 2, "steps": 8, "samples": 140, "startup": 1, "seed": 0, "space": SPACE}
SETTINGS: dict[str, Any] = {
    "image.size": 8,
    "model.preset": "tiny",
    "train.batch_size": 32,
    "reference.steps": 20,
    "tune": TUNE,
}


def make(folder: Path) -> None:
    """The stages up to `approval`, run in `folder`."""
    (folder / "data").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    (folder / "data/feedback.json").write_text(NO_FEEDBACK)
    before = Path.cwd()
    os.chdir(folder)
    try:
        changed = params.update([], [f"{key}={json.dumps(value)}" for key, value in SETTINGS.items()])
        for stage in (ingest, validate, clean, reference, curate, approval):
            stage.run(changed)
    finally:
        os.chdir(before)
