"""Trainings killed at random moments and resumed: their weights against those of a training that was not stopped.

    python -m benchmarks.resume                     # 20 kills of every family
    python -m benchmarks.resume vae --kills 3

Each family trains on the digits as `pipelines.train` does. A training is killed (SIGKILL) again and again until it is done;
its weights are compared, and another one begins, until there were --kills kills.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from benchmarks import measure, workspace
from pipelines import catalogue

BEFORE = ("ingest", "validate", "clean", "reference", "curate", "approval")
SETTINGS = ("image.size=8", "train.steps=120", "train.batch_size=16", "train.preview_every=10")
TRAIN = [str(workspace.PYTHON), "-m", "pipelines.train"]
MODEL = "data/model/weights.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(catalogue.MODELS)}; all by default")
    parser.add_argument("--kills", type=int, default=20, help="of each family")
    options = parser.parse_args()
    with workspace.clone(settings=SETTINGS) as folder:
        for stage in BEFORE:
            measure.run([workspace.PYTHON, "-m", f"pipelines.{stage}"], folder)
        for family in options.families or sorted(catalogue.MODELS):
            kills(folder, family, options.kills)


def kills(folder: Path, family: str, count: int) -> None:
    presets = catalogue.get(catalogue.MODELS, family).presets
    preset = "tiny" if "tiny" in presets else min(presets)
    workspace.change(folder, settings=[f"model.family={family}", f"model.preset={preset}"])
    usual = measure.run(TRAIN, folder).seconds
    straight = load_file(folder / MODEL)
    dice = random.Random(0)
    done = finished = differing = resumed = 0
    while done < count:
        (folder / MODEL).unlink()
        while not (folder / MODEL).exists():
            delay = dice.uniform(0.3, 1.0) * usual if done < count else None
            killed, went_on = attempt(folder, delay)
            done, resumed = done + killed, resumed + went_on
        finished += 1
        differing += differences(straight, load_file(folder / MODEL))
    print(
        f"{family:<10} {done} kills in {finished} trainings, {resumed} times it went on from a checkpoint: "
        f"{differing} of {sum(value.size for value in straight.values()):,} weights differ",
        flush=True,
    )


def attempt(folder: Path, delay: float | None) -> tuple[bool, bool]:
    """Begin the training or go on with it, and kill it after `delay` seconds: whether it was killed, and whether it went on."""
    process = subprocess.Popen(TRAIN, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if delay is not None:
        until = time.monotonic() + delay
        while process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
    _, messages = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(messages)
    return process.returncode != 0, "going on from step" in messages


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> int:
    assert one.keys() == other.keys()
    return sum(int(np.count_nonzero(value != other[name])) for name, value in one.items())


if __name__ == "__main__":
    main()
