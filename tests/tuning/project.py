"""A tiny project on digits, as it is before a model is trained: what `genloop tune` reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from pipelines import reference
from pipelines.core.project import Project
from pipelines.settings.load import update_params
from tests.conftest import REPOSITORY
from tests.contracts import write_feedback, write_rows

ROWS = 480
SPACE = {"model.change.learning_rate": {"low": 0.0005, "high": 0.01, "log": True}, "train.batch_size": [16, 32]}
TUNE = {"trials": 2, "steps": 8, "samples": 140, "startup": 1, "seed": 0, "space": SPACE, "metric": "kid"}
SETTINGS: dict[str, Any] = {
    "image.size": 8,
    "model.preset": "tiny",
    "train.batch_size": 32,
    "reference.extractor": "random",
    "tune": TUNE,
}


def make(folder: Path) -> None:
    """Rows as `clean` leaves them, and the benchmark, by an extractor that need not be trained."""
    project = Project(folder)
    folder.mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    digits = load_digits()
    images = (digits.images[:ROWS, :, :, None] * 15.9).astype(np.uint8)
    classes = [str(name) for name in digits.target_names]
    splits = ["holdout" if number % 4 == 0 else "train" for number in range(ROWS)]
    write_rows(project.clean, images, digits.target[:ROWS].tolist(), classes, splits=splits)
    write_feedback(project.curated, classes=classes)
    project.approval.mkdir(parents=True)
    settings = [f"{key}={json.dumps(value)}" for key, value in SETTINGS.items()]
    reference.run(project, update_params(project.params_file, settings=settings))
