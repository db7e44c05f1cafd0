"""The whole chain by `genloop run`: time, peak memory, and the scores that came of it.

python -m benchmarks.chain                                                    # the default, digits
python -m benchmarks.chain examples/mnist.yaml mnist.npz
python -m benchmarks.chain examples/cifar10.yaml cifar10-train.parquet --grid cifar10.png
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from benchmarks import measure, workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overlay", nargs="?")
    parser.add_argument("path", nargs="?", type=Path, help="where the overlay's first source lies")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--grid", type=Path, help="keep the sample grid here")
    options = parser.parse_args()
    overlays = [options.overlay] if options.overlay else []
    settings = [f"sources.0.path={options.path.resolve()}"] if options.path else []
    with workspace.clone(overlays, [*settings, *options.settings]) as folder:
        command = [folder / ".venv/bin/python", "genloop.py", "run"]
        cost = measure.run(command, folder, {"PYTHONPATH": str(folder)})
        again = measure.run(command, folder, {"PYTHONPATH": str(folder)})
        metrics = json.loads((folder / "data/reports/metrics.json").read_text())
        training = json.loads((folder / "data/reports/train.json").read_text())
        if options.grid:
            shutil.copy(folder / "data/reports/samples.png", options.grid)
    print(f"whole chain {cost.seconds:.0f} s (training {training['seconds']:.0f} s), peak {cost.peak_gib:.2f} GiB")
    print(f"fid_unbiased {metrics['fid_unbiased']:.3f} ({metrics['fid_low']:.3f} to {metrics['fid_high']:.3f})")
    names = ("told_apart", "class_accuracy", "inception_score")
    print(", ".join(f"{name} {metrics[name]:.4g}" for name in names if name in metrics))
    print(f"second run, nothing to do: {again.seconds:.1f} s")


if __name__ == "__main__":
    main()
