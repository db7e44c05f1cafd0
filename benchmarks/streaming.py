"""Features that memory need not hold: what `genloop score --extractor none` costs, and how that grows with the rows.

    python -m benchmarks.streaming

Two npz files of so many rows of 256 float32 each, made chunk by chunk. Peak memory is of all processes together.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks import measure, workspace

WIDTH, CHUNK = 256, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=[250_000, 1_000_000], help="numbers of rows, on either side")
    parser.add_argument("--metrics", default="fid,kid")
    options = parser.parse_args()
    costs = [report(rows, options.metrics) for rows in options.rows]
    if len(costs) > 1:
        rows, first, last = options.rows[-1] / options.rows[0], costs[0], costs[-1]
        print(f"{rows:g} times the rows: {last.seconds / first.seconds:.2f} times the time, ", end="")
        print(f"{last.peak_gib / first.peak_gib:.2f} times the peak memory")


def report(rows: int, metrics: str) -> measure.Cost:
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder = Path(temporary)
        for seed, name in enumerate("ab"):
            write(folder / f"{name}.npz", rows, seed)
        command = [workspace.PYTHON, workspace.REPOSITORY / "genloop.py", "score", "a.npz", "b.npz"]
        cost = measure.run([*command, "--extractor", "none", "--metrics", metrics, "--json"], folder)
    found = json.loads(cost.output[cost.output.index("{") :])
    scores = ", ".join(f"{name} {found[name]:.6g}" for name in metrics.split(",") if name in found)
    print(f"{rows:,} x {WIDTH}: {cost.seconds:.1f} s, peak {cost.peak_gib:.2f} GiB ({scores})", flush=True)
    return cost


def write(path: Path, rows: int, seed: int) -> None:
    """Correlated features, 0 or more, as pooled activations are; those of another seed lie a little apart."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).standard_normal((WIDTH, WIDTH)).astype(np.float32) / np.float32(np.sqrt(WIDTH))
    with zipfile.ZipFile(path, "w") as archive, archive.open("features.npy", "w", force_zip64=True) as file:
        about = {"descr": "<f4", "fortran_order": False, "shape": (rows, WIDTH)}
        np.lib.format.write_array_header_1_0(file, about)
        for start in range(0, rows, CHUNK):
            chunk = random.standard_normal((min(CHUNK, rows - start), WIDTH), np.float32) @ mixing
            file.write(np.maximum(chunk + np.float32(0.02 * seed), 0).data)


if __name__ == "__main__":
    main()
