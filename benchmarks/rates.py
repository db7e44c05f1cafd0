"""How fast a family trains and draws in a process of its own, as `genloop` would have it, with nothing but Keras loaded.

    KERAS_BACKEND=jax python -m benchmarks.rates '{"family": "gan", "preset": "small", "size": 28, ...}'

Its last line says, as JSON, how many weights it has and how many images a second it trains on and draws. Other benchmarks
start it.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import backend

ROWS = 4_096  # different images, so that none stays near the processor


def main() -> None:
    print(json.dumps(measure(json.loads(sys.argv[1]))))


def measure(asked: dict[str, Any]) -> dict[str, float]:
    """asked: family, preset, size, channels, classes, batch, steps a round, rounds, draws; and maybe changes of the preset,
    precision, xla, at_once (steps a call) and feed: `made` for batches that are made before the clock starts."""
    backend.load(asked.get("deterministic", False))
    import keras

    from pipelines.models import base
    from pipelines.training.feeding import Batches

    with backend.precision(asked.get("precision", "float32")):
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

        class Made(keras.utils.PyDataset):
            """The same few batches again and again."""

            def __init__(self, batches: Batches) -> None:
                super().__init__(workers=0)
                self.made = [batches[number] for number in range(4)]

            num_batches = None

            def __getitem__(self, number: int) -> tuple[dict[str, np.ndarray]]:
                return self.made[number % len(self.made)]

        clock = Clock(asked["steps"] * asked["batch"])
        follow = keras.callbacks.LambdaCallback(on_epoch_begin=clock.begin, on_epoch_end=clock.end)
        with Batches(Rows, asked["batch"], base.numbers(family), 0, 0) as batches:
            feed = Made(batches) if asked.get("feed", "made") == "made" else batches
            epochs = asked["rounds"] + 1
            inputs = backend.fed(feed)
            family.fit(inputs, steps_per_epoch=asked["steps"], epochs=epochs, shuffle=False, verbose=0, callbacks=[follow])
        return {
            "weights": sum(int(np.prod(weight.shape)) for weight in family.trainable_variables),
            "train": clock.best,
            "draw": drawn(family, asked),
        }


def preset(asked: dict[str, Any]) -> dict[str, Any]:
    return {**catalogue.literal(catalogue.MODELS, asked["family"], "PRESETS")[asked["preset"]], **asked.get("changes", {})}


class Clock:
    """Images a second of the best round, of so many images; the first one compiles and does not count."""

    def __init__(self, images: int) -> None:
        self.images, self.best = images, 0.0

    def begin(self, number: int, logs: Any = None) -> None:
        self.began = time.perf_counter()

    def end(self, number: int, logs: Any = None) -> None:
        if number:
            self.best = max(self.best, self.images / (time.perf_counter() - self.began))


def drawn(family: Any, asked: dict[str, Any]) -> float:
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
