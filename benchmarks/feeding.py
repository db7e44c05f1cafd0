"""Training on many rows: peak memory of `train` where images are read from disk, and what feeding costs in time.

    python -m benchmarks.feeding                       # 100,000 and 1,000,000 rows of `glyphs`, 5 minutes
    python -m benchmarks.feeding --rows 10000 40000

`train.max_memory_share` is 0, so that no image stays in memory. The rows go through all the stages before `train`, as in a run.
"""

from __future__ import annotations

import argparse
import json

from benchmarks import measure, workspace

BEFORE = ("ingest", "validate", "clean", "curate", "approval")
SETTINGS = ("image.size=28", "train.steps=200", "train.preview_every=100", "train.max_memory_share=0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 1_000_000])
    options = parser.parse_args()
    peaks = [peak(count) for count in options.rows]
    if len(peaks) > 1:
        print(f"{options.rows[-1] / options.rows[0]:g} times the rows: {peaks[-1] / peaks[0]:.3f} times the peak memory")


def peak(count: int) -> float:
    """GiB of the training's process and what it starts."""
    with workspace.clone(settings=[f"sources=[{{type: glyphs, count: {count}}}]", *SETTINGS]) as folder:
        for stage in BEFORE:
            measure.run([workspace.PYTHON, "-m", f"pipelines.{stage}"], folder)
        cost = measure.run([workspace.PYTHON, "-m", "pipelines.train"], folder)
        report = json.loads((folder / "data/reports/train.json").read_text())
    print(
        f"{report['rows']:,} rows of {count:,}: peak {cost.peak_gib:.3f} GiB, {report['images_per_second']:,.0f} images/s, "
        f"{cost.seconds:.0f} s in all",
        flush=True,
    )
    return cost.peak_gib


if __name__ == "__main__":
    main()
