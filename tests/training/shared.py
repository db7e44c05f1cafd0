"""Run as a program: a short training on one logical CPU device, and on two, whose losses it writes as JSON to stdout.

python shared.py FOLDER FAMILY        with KERAS_BACKEND as wanted
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

STEPS, BATCH, SIDE, DEVICES = 6, 16, 8, 2


def main(folder: Path, name: str) -> None:
    if os.environ["KERAS_BACKEND"] == "jax":
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={DEVICES}"
    else:
        import tensorflow

        (cpu,) = tensorflow.config.list_physical_devices("CPU")
        parts = [tensorflow.config.LogicalDeviceConfiguration()] * DEVICES
        tensorflow.config.set_logical_device_configuration(cpu, parts)
    from pipelines.core import backend

    backend.load()
    print(json.dumps([train(name, count, folder / str(count)) for count in (1, DEVICES)]))


def train(name: str, devices: int, folder: Path) -> list[list[float]]:
    import numpy as np

    from pipelines import catalogue
    from pipelines.models import base
    from pipelines.settings.schema import TrainParams
    from pipelines.training import hardware
    from pipelines.training.dataset import Dataset
    from pipelines.training.fit import fit
    from pipelines.training.training_run import TrainingRun
    from tests.contracts import pictures
    from tests.training.rows import preset

    count = 48
    rows = Dataset(pictures(count, SIDE, 1), np.arange(count, dtype=np.int32) % 3, np.ones(count), ["a", "b", "c"], 0)
    settings = TrainParams(init="scratch", steps=STEPS, batch_size=BATCH, seed=1, preview_every=2, devices=devices)
    machine = hardware.choose(settings)
    assert len(machine.devices) == devices, machine
    kind = catalogue.get(catalogue.MODELS, name)
    with machine.scope():
        size = catalogue.get(catalogue.MODELS, name).presets[preset(name)]
        family = base.build(kind, base.ImageSpec(SIDE, 1, 3), size, 0)
        result = fit(family, TrainingRun(rows, settings, machine, folder / "checkpoints", folder / "logs"))
    return [[entry[loss] for loss in ("loss", *family.loss_names)] for entry in result.history]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
