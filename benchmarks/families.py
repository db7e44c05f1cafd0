"""What each family reaches on MNIST in the same time of training, on the same rows and the same benchmark.

    python -m benchmarks.families mnist.npz                              # gan, vae, diffusion and gan-dense, 15 minutes each
    python -m benchmarks.families mnist.npz gan gan-dense --minutes 1
    python -m benchmarks.families mnist.npz vae --steps 5000

Each trains with its preset `small` for as many steps as a trial says fit the time.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks import measure, workspace

BEFORE = ("ingest", "validate", "clean", "reference", "curate", "approval")
FAMILIES = ("gan", "vae", "diffusion", "gan-dense")
TRIAL = 100  # steps from which a family's speed is taken, after as many that are not measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path, help="mnist.npz in the Keras layout")
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--steps", type=int, help="instead of --minutes")
    parser.add_argument("--out", type=Path, help="keep the grids here")
    options = parser.parse_args()
    found: dict[str, float] = {}
    with workspace.clone(["examples/mnist.yaml"], [f"sources.0.path={options.mnist.resolve()}"]) as folder:
        for stage in BEFORE:
            measure.run([workspace.PYTHON, "-m", f"pipelines.{stage}"], folder)
        for family in options.families or FAMILIES:
            steps = options.steps or steps_within(train(folder, family, 2 * TRIAL, TRIAL), options.minutes)
            report = train(folder, family, steps, min(steps, 500))
            measure.run([workspace.PYTHON, "-m", "pipelines.evaluate"], folder)
            scores = json.loads((folder / "data/reports/metrics.json").read_text())
            found[family] = scores["fid_unbiased"]
            accuracy = f"class accuracy {scores['class_accuracy']:.1%}" if "class_accuracy" in scores else "no classes"
            print(
                f"{family:<10} fid_unbiased {scores['fid_unbiased']:8.3f} "
                f"({scores['fid_low']:.3f} to {scores['fid_high']:.3f}), told apart {scores['told_apart']:.3f}, "
                f"{accuracy}, recall {scores['recall']:.2f}: {steps:,} steps in {report['training_seconds']:.0f} s",
                flush=True,
            )
            if options.out:
                options.out.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / "data/reports/samples.png", options.out / f"{family}.png")
    if "gan-dense" in found:
        for family, fid in found.items():
            print(f"{family:<10} 1/{found['gan-dense'] / fid:.0f} of gan-dense's fid_unbiased")


def steps_within(trial: dict[str, Any], minutes: float) -> int:
    """The steps that take so many minutes, by the speed of the trial's second half, because the first one compiles."""
    return max(1, round(60 * minutes * trial["images_per_second"] / trial["batch_size"]))


def train(folder: Path, family: str, steps: int, every: int) -> dict[str, Any]:
    """Train, and return the report of the stage."""
    settings = [f"model.family={family}", "model.preset=small", f"train.steps={steps}", f"train.preview_every={every}"]
    workspace.change(folder, settings=settings)
    measure.run([workspace.PYTHON, "-m", "pipelines.train"], folder)
    report: dict[str, Any] = json.loads((folder / "data/reports/train.json").read_text())
    return report


if __name__ == "__main__":
    main()
