"""FID of `gan` against `gan-dense` given the same training time, on the same rows and the same benchmark.

    python -m benchmarks.families mnist.npz --steps 1500

`gan` trains for so many steps; `gan-dense` then gets as many steps as fit the time that `gan` took.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks import measure, workspace

BEFORE = ("ingest", "validate", "clean", "reference")
TRIAL = 300  # steps of gan-dense from which its speed is taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path, help="mnist.npz in the Keras layout")
    parser.add_argument("--steps", type=int, default=1500, help="of gan")
    options = parser.parse_args()
    source = f"sources.0.path={options.mnist.resolve()}"
    with workspace.clone(["examples/mnist.yaml"], [source]) as folder:
        for stage in BEFORE:
            measure.run([workspace.PYTHON, "-m", f"pipelines.{stage}"], folder)
        gan, seconds = train(folder, "gan", options.steps)
        _, trial = train(folder, "gan-dense", TRIAL, score=False)
        dense, taken = train(folder, "gan-dense", max(1, round(TRIAL * seconds / trial)))
    print(f"gan        FID {gan:8.3f} after {seconds:.0f} s of training")
    print(f"gan-dense  FID {dense:8.3f} after {taken:.0f} s of training")
    print(f"ratio 1/{dense / gan:.0f}")


def train(folder: Path, family: str, steps: int, score: bool = True) -> tuple[float, float]:
    """FID, and seconds that the training steps took."""
    settings = f"['model.family={family}', 'model.preset=small', 'train.steps={steps}']"
    program = f"from pipelines.core import params; params.update([], {settings})"
    measure.run([workspace.PYTHON, "-c", program], folder)
    measure.run([workspace.PYTHON, "-m", "pipelines.train"], folder)
    seconds = json.loads((folder / "data/reports/train.json").read_text())["training_seconds"]
    if not score:
        return 0.0, seconds
    measure.run([workspace.PYTHON, "-m", "pipelines.evaluate"], folder)
    return json.loads((folder / "data/reports/metrics.json").read_text())["fid"], seconds


if __name__ == "__main__":
    main()
