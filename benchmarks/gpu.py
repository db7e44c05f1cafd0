"""What needs a GPU, on JAX: speed against PyTorch, the share of the chip that is used, and what ten minutes make of MNIST.

    KERAS_BACKEND=jax python -m benchmarks.gpu speed
    KERAS_BACKEND=jax python -m benchmarks.gpu learn mnist.npz --minutes 10 --out OUT    # draws OUT/drawn.npz
    KERAS_BACKEND=jax python -m benchmarks.gpu speed --toy                               # the same code on a CPU, small

Runs from a bare checkout where there are JAX, Keras, safetensors and, for the peers, PyTorch and denoising-diffusion-pytorch.
What `learn` draws is scored elsewhere: genloop score OUT/drawn.npz REAL.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import idle
from benchmarks.training import genloop_command, twin_command
from benchmarks.turns import run_alone
from pipelines import catalogue

BASE = {
    "family": "diffusion",
    "preset": "base",
    "size": 32,
    "channels": 3,
    "classes": 10,
    "batch": 256,
    "rounds": 3,
    "draws": 4,
}
GPU = {"steps": 60, "at_once": 20, "precision": "mixed_bfloat16", "xla": True}
TOY = {"preset": "tiny", "size": 8, "batch": 8, "steps": 2, "rounds": 1, "draws": 1, "at_once": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    speed_parser = kinds.add_parser("speed", help="images a second, against PyTorch and against the chip")
    speed_parser.add_argument("--toy", action="store_true", help="tiny, on a CPU: only shows that it runs")
    speed_parser.add_argument("--torch", type=Path, default=Path(sys.executable), help="an interpreter that has PyTorch")
    learn_parser = kinds.add_parser("learn", help="train for some minutes and draw 10,000 images")
    learn_parser.add_argument("data", type=Path, help="npz in the Keras layout")
    learn_parser.add_argument("--family", default="diffusion")
    learn_parser.add_argument("--preset", default="small")
    learn_parser.add_argument("--minutes", type=float, default=10)
    learn_parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if options.kind == "speed":
        speed(options.toy, options.torch)
    else:
        learn(options.data, options.family, options.preset, options.minutes, options.out)


def speed(toy: bool, torch: Path) -> None:
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # this process has the GPU as well as those that it starts
    asked = {**BASE, **GPU, **(TOY if toy else {})}
    rounds = asked["rounds"]
    own = run_alone(genloop_command(asked), rounds)
    say("genloop", own)
    device = {"device": "cpu"} if toy else {"device": "cuda", "bfloat16": True, "compile": True}
    for peer, changes in (
        ("twin in PyTorch, compiled", {}),
        ("denoising-diffusion-pytorch", {"family": "denoising-diffusion-pytorch", "compile": False, "weights": own["weights"]}),
    ):
        try:
            theirs = run_alone(twin_command(asked, torch, **{**device, **changes}), rounds)
        except RuntimeError as error:
            print(f"{peer}: not measured ({str(error).strip().splitlines()[-1]})")
            continue
        say(peer, theirs)
        print(
            f"  {own['train'] / theirs['train']:.2f} times its training, {own['draw'] / theirs['draw']:.2f} times its drawing"
        )
    fed = run_alone(genloop_command({**asked, "feed": "rows", "draws": 0, "profile": True}), rounds)
    print(f"batches made as it goes: {fed['train'] / own['train']:.2f} times as fast; {idle.summary(fed)}")
    exact = run_alone(genloop_command({**asked, "deterministic": True, "draws": 0}), rounds)
    print(f"deterministic: {exact['train'] / own['train']:.2f} times as fast")

    larger = {**asked, "size": 16 if toy else 64, "draws": 0}
    own = run_alone(genloop_command(larger), rounds)
    peer = run_alone(twin_command({**larger, "steps": 1}, torch, **{**device, "compile": False}), 1)
    operations = peer["flop"] * own["train"]
    most = matrix_rate(512 if toy else 8192)
    print(
        f"{larger['size']}x{larger['size']}: {own['train']:,.0f} images/s, {operations / 1e12:.2f} TFLOP/s, "
        f"{operations / most:.1%} of the {most / 1e12:.2f} TFLOP/s of a bfloat16 product of matrices"
    )


def say(name: str, found: dict[str, float]) -> None:
    print(
        f"{name}: {found['weights']:,.0f} weights, trains on {found['train']:,.1f} and draws {found['draw']:,.1f} images/s",
        flush=True,
    )


def matrix_rate(side: int) -> float:
    """Operations a second of the chip, as measured."""
    import jax
    import jax.numpy as jnp

    a = jnp.ones((side, side), jnp.bfloat16)
    multiply = jax.jit(lambda x: x @ x / side)
    multiply(a).block_until_ready()
    best = 0.0
    for _ in range(5):
        start, found = time.perf_counter(), a
        for _ in range(10):
            found = multiply(found)
        found.block_until_ready()
        best = max(best, 10 * 2 * side**3 / (time.perf_counter() - start))
    return best


def learn(data: Path, name: str, preset: str, minutes: float, out: Path) -> None:
    from pipelines.core import backend

    backend.load()
    import keras

    from pipelines.models import base
    from pipelines.training.batches import Batches

    with np.load(data) as file:
        images, labels = file["x_train"], file["y_train"].astype(np.int32).ravel()
    images = images if images.ndim == 4 else images[..., None]
    spec = base.ImageSpec(images.shape[1], images.shape[3], int(labels.max()) + 1)
    narrow = backend.on_gpu()
    with base.precision("mixed_bfloat16" if narrow else "float32"):
        family_class = catalogue.get(catalogue.MODELS, name)
        family = base.build(family_class, spec, family_class.presets[preset], 0)

        class Rows:
            weights = np.ones(len(labels))

        Rows.images, Rows.labels = images, labels  # type: ignore[attr-defined]
        at_once = 20 if narrow else 1

        def fit(steps: int) -> float:
            """Seconds."""
            family.compile(optimizer=family.optimizer_for(steps), jit_compile=family.jit_compile, steps_per_execution=at_once)
            with Batches(Rows, 256, base.numbers(family), 0, 0) as batches:
                start = time.perf_counter()
                family.fit(backend.as_dataset(batches), steps_per_epoch=steps, epochs=1, shuffle=False, verbose=0)
                return time.perf_counter() - start

        trial = 10 * at_once
        fit(trial)  # compiles
        each = fit(trial) / trial
        family.set_weights(base.build(family_class, spec, family.preset, 0).get_weights())
        steps = max(1, round(60 * minutes / each / at_once)) * at_once
        seconds = fit(steps)  # which ends with the averaged weights in their place
        drawn_labels = np.arange(10_000, dtype=np.int32) % spec.classes
        start = time.perf_counter()
        drawn = base.draw(family, range(10_000), drawn_labels)
        drawing = time.perf_counter() - start
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "drawn.npz", images=drawn, labels=drawn_labels)
    rate = steps * 256 / seconds
    print(
        f"{name} {preset} on {keras.backend.backend()}: {steps:,} steps of 256 in {seconds:.0f} s, {rate:,.0f} images/s; "
        f"10,000 drawn in {drawing:.0f} s"
    )


if __name__ == "__main__":
    main()
