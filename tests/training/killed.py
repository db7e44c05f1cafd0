"""Run as a program in a project folder, with a family's name: the training that test_resume kills; it pauses so that it can."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipelines import train
from pipelines.core import backend
from pipelines.settings.load import check_params, parse_yaml, read_text
from pipelines.settings.overlay import set_key
from tests.training import rows

REPOSITORY = Path(__file__).resolve().parents[2]
STEPS = {"train.steps": 30, "train.preview_every": 5}


def changes(family: str) -> dict[str, Any]:
    return {**STEPS, "model.family": family, "model.preset": rows.preset(family)}


def main() -> None:
    backend.load()
    from pipelines.training import watch

    follow = watch.Watch.on_train_batch_end

    def slowly(self: watch.Watch, batch: int, logs: dict[str, float] | None = None) -> None:
        time.sleep(0.05)
        follow(self, batch, logs)

    watch.Watch.on_train_batch_end = slowly  # type: ignore[method-assign]
    document = parse_yaml(read_text(REPOSITORY / "params.yaml"), "params.yaml")
    for key, value in {**rows.TINY, **changes(sys.argv[1])}.items():
        set_key(document, key, value)
    train.run(check_params(document, "settings"))


if __name__ == "__main__":
    main()
