"""Run as a program in a project's folder: a training, which at a step says so on stdout and then waits to be killed.

python killed.py FAMILY [STEP]
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipelines import train
from pipelines.core import backend
from pipelines.core.project import Project
from pipelines.settings.load import check_params, parse_yaml, read_text, set_key
from tests.training import rows

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = {"train.steps": 30, "train.preview_every": 5}


def changes(family: str) -> dict[str, Any]:
    return {**STEPS, "model.family": family, "model.preset": rows.preset(family)}


def wait_at(step: int) -> None:
    from pipelines.training.monitor import TrainingMonitor

    follow = TrainingMonitor.on_train_batch_end

    def wait(self: TrainingMonitor, batch: int, logs: dict[str, float] | None = None) -> None:
        follow(self, batch, logs)
        if self.step == step:
            print(f"step {step}", flush=True)
            signal.pause()

    TrainingMonitor.on_train_batch_end = wait  # type: ignore[method-assign]


def main(family: str, *steps: str) -> None:
    backend.load()
    for step in steps:
        wait_at(int(step))
    document = parse_yaml(read_text(REPOSITORY / "params.yaml"), "params.yaml")
    for key, value in {**rows.TINY, **changes(family)}.items():
        set_key(document, key, value)
    train.run(Project(Path.cwd()), check_params(document, "settings"))


if __name__ == "__main__":
    main(*sys.argv[1:])
