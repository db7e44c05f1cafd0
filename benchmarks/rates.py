"""How fast a family trains and generates in a process of its own, as `genloop` would have it, with nothing but Keras loaded.

    KERAS_BACKEND=jax python -m benchmarks.rates '{"family": "gan", "preset": "small", "size": 28, ...}'

It trains by turns, as in benchmarks/turns.py, and prints at the end how many weights it has and how many images a second it
generates. Other benchmarks start it.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from typing import Any

import numpy as np

from benchmarks import idle
from pipelines import catalogue
from pipelines.core import backend

ROWS = 4_096  # different images, more than the processor's caches hold


def main() -> None:
    print(json.dumps(measure(json.loads(sys.argv[1]))), flush=True)


def measure(asked: dict[str, Any]) -> dict[str, float]:
    """asked: family, preset, size, channels, classes, batch, steps a turn, rounds and batches to generate; optional: changes of
    the preset, precision, xla, at_once (steps a call), feed: `made` for batches that are made before the clock starts, and
    profile: whether to measure in a last turn how long the device did nothing."""
    backend.load(asked.get("deterministic", False))
    import keras

    from pipelines.models import base
    from pipelines.training.batches import Batches

    with base.precision(asked.get("precision", "float32")):
        spec = base.ImageSpec(asked["size"], asked["channels"], asked["classes"])
        family = base.build(catalogue.get(catalogue.MODELS, asked["family"]), spec, preset(asked), seed=0)
        xla, at_once = asked.get("xla", family.jit_compile), asked.get("at_once", 1)
        family.compile(optimizer=family.optimizer_for(100_000), jit_compile=xla, steps_per_execution=at_once)
        family.optimizer.build(family.trainable_variables)
        random = np.random.default_rng(0)

        class Rows:
            images = random.integers(0, 256, (ROWS, *spec.shape), dtype=np.uint8)
            labels = random.integers(0, max(spec.classes, 1), ROWS).astype(np.int32)
            weights = np.ones(ROWS)

        class RepeatedBatches(keras.utils.PyDataset):
            """The same few batches again and again."""

            def __init__(self, batches: Batches) -> None:
                super().__init__(workers=0)
                self.batches = [batches[number] for number in range(4)]

            num_batches = None

            def __getitem__(self, number: int) -> tuple[dict[str, np.ndarray]]:
                return self.batches[number % len(self.batches)]

        class Turns(keras.callbacks.Callback):
            """Every second epoch counts: the one before compiles, and uses up the batches that were made while waiting."""

            def on_train_begin(self, logs: Any = None) -> None:
                print("ready", flush=True)
                self.wait()

            def on_epoch_begin(self, number: int, logs: Any = None) -> None:
                self.began = time.perf_counter()
                if number % 2 and not self.more:
                    profiling.enter_context(idle.profile(profile))

            def on_epoch_end(self, number: int, logs: Any = None) -> None:
                if number % 2 and self.more:
                    print(asked["steps"] * asked["batch"] / (time.perf_counter() - self.began), flush=True)
                    self.wait()
                elif number % 2:
                    profiling.close()
                    self.model.stop_training = True

            def wait(self) -> None:
                self.more = bool(sys.stdin.readline())
                self.model.stop_training = not self.more and not asked.get("profile", False)

        profile: dict[str, float] = {}
        with Batches(Rows, asked["batch"], base.numbers(family), 0, 0) as batches, ExitStack() as profiling:
            inputs = backend.as_dataset(RepeatedBatches(batches) if asked.get("feed", "made") == "made" else batches)
            steps, endless = asked["steps"], sys.maxsize
            family.fit(inputs, steps_per_epoch=steps, epochs=endless, shuffle=False, verbose=0, callbacks=[Turns()])
        return {
            **profile,
            "weights": sum(int(np.prod(weight.shape)) for weight in family.trainable_variables),
            "draw": generation_rate(family, asked),
        }


def preset(asked: dict[str, Any]) -> dict[str, Any]:
    return {**catalogue.get(catalogue.MODELS, asked["family"]).presets[asked["preset"]], **asked.get("changes", {})}


def generation_rate(family: Any, asked: dict[str, Any]) -> float:
    from pipelines.models import base

    count = asked["batch"] * asked["draws"]
    if not count:
        return 0.0
    base.draw(family, range(base.DRAW_BATCH))
    best = 0.0
    for _ in range(asked["rounds"]):
        start = time.perf_counter()
        base.draw(family, range(count))
        best = max(best, count / (time.perf_counter() - start))
    return best


if __name__ == "__main__":
    main()
