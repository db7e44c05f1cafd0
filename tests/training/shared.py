"""Run as a program: a short training on so many logical CPU devices, whose losses it writes as JSON to stdout.

python shared.py DEVICES FOLDER FAMILY        with KERAS_BACKEND as wanted
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

STEPS, BATCH, SIDE = 6, 16, 8


def main(devices: int, folder: Path, name: str) -> None:
    if os.environ["KERAS_BACKEND"] == "jax":
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={devices}"
    else:
        import tensorflow

        (cpu,) = tensorflow.config.list_physical_devices("CPU")
        parts = [tensorflow.config.LogicalDeviceConfiguration()] * devices
        tensorflow.config.set_logical_device_configuration(cpu, parts)
    from pipelines.core import backend

    backend.load()
    print(json.dumps(train(name, devices, folder)))


def train(name: str, devices: int, folder: Path) -> list[list[float]]:
    import numpy as np

    from pipelines import catalogue
    from pipelines.models import base
    from pipelines.settings.schema import Train
    from pipelines.training import fitting, hardware
    from pipelines.training.dataset import Dataset
    from tests.contracts import pictures
    from tests.training.rows import preset

    count = 48
    rows = Dataset(pictures(count, SIDE, 1), np.arange(count, dtype=np.int32) % 3, np.ones(count), ["a", "b", "c"], 0)
    settings = Train(init="scratch", steps=STEPS, batch_size=BATCH, seed=1, preview_every=2)
    chosen = hardware.chosen(settings)
    assert len(chosen.devices) == devices, chosen
    kind = catalogue.get(catalogue.MODELS, name)
    with hardware.used(chosen):
        size = catalogue.literal(catalogue.MODELS, name, "PRESETS")[preset(name)]
        family = base.build(kind, base.ImageSpec(SIDE, 1, 3), size, 0)
        outcome = fitting.fit(family, rows, settings, chosen, folder / "checkpoints", folder / "logs")
    return [[entry[loss] for loss in ("loss", *family.loss_names)] for entry in outcome.history]


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
