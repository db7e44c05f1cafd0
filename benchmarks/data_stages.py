"""ingest + validate + clean: time and peak memory of MNIST, and how they grow with the rows of `glyphs`.

    python -m benchmarks.data_stages --mnist mnist.npz

Peak memory is of all processes of a stage together.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import measure, workspace

STAGES = ("ingest", "validate", "clean")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", type=Path, help="mnist.npz in the Keras layout; without it only glyphs are measured")
    parser.add_argument("--glyphs", type=int, nargs="*", default=[100_000, 400_000], help="numbers of rows")
    options = parser.parse_args()
    if options.mnist:
        report("mnist", [f"sources=[{{type: npz, path: {options.mnist.resolve()}}}]"])
    costs = [report(f"glyphs {n:,}", [f"sources=[{{type: glyphs, count: {n}}}]"]) for n in options.glyphs]
    if len(costs) > 1:
        rows = options.glyphs[-1] / options.glyphs[0]
        print(f"{rows:g} times the rows: {costs[-1][0] / costs[0][0]:.2f} times the time, ", end="")
        print(f"{costs[-1][1] / costs[0][1]:.2f} times the peak memory")


def report(name: str, settings: list[str]) -> tuple[float, float]:
    """Seconds in all and the highest peak in GiB of the three stages."""
    with workspace.clone(settings=["image.size=28", *settings]) as folder:
        costs = [measure.run([workspace.PYTHON, "-m", f"pipelines.{stage}"], folder) for stage in STAGES]
    seconds, peak = sum(cost.seconds for cost in costs), max(cost.peak_gib for cost in costs)
    parts = ", ".join(
        f"{stage} {cost.seconds:.1f} s {cost.peak_gib:.2f} GiB" for stage, cost in zip(STAGES, costs, strict=True)
    )
    print(f"{name}: {seconds:.1f} s, peak {peak:.2f} GiB ({parts})", flush=True)
    return seconds, peak


if __name__ == "__main__":
    main()
