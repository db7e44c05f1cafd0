"""FID arithmetic against torch-fidelity's: two sets of 10,000 features of 2,048 dimensions, in one run.

    python -m benchmarks.frechet

Both get the same arrays and the same cores, take turns, and go from features to the distance.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks import peers
from pipelines.metrics import fid

ROWS, WIDTH, ROUNDS = 10_000, 2048, 3

PEER = """
import json, sys, time, types
from unittest import mock
for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets",
             "torchvision.models"):
    sys.modules[name] = mock.MagicMock()  # imported, but not used by the arithmetic
import numpy as np, torch
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
a, b = (torch.from_numpy(np.load(path)) for path in sys.argv[1:])
start = time.perf_counter()
value = fid_statistics_to_metric(fid_features_to_statistics(a), fid_features_to_statistics(b), False)
print(json.dumps({"value": float(value["frechet_inception_distance"]), "seconds": time.perf_counter() - start}))
"""


def features(seed: int) -> np.ndarray:
    """(ROWS, WIDTH) float64, 0 or more, correlated: what pooled activations look like."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH)
    return np.maximum(random.standard_normal((ROWS, WIDTH)) @ mixing + 0.02 * seed, 0)


def main() -> None:
    sets = [features(1), features(2)]
    peers.python()
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.npy" for name in "ab"]
        for file, values in zip(files, sets, strict=True):
            np.save(file, values)
        for _ in range(ROUNDS):
            start = time.perf_counter()
            value = fid.distance(*sets)
            ours.append(time.perf_counter() - start)
            theirs.append(peers.run(PEER, *map(str, files)))
    expected = theirs[0]["value"]
    seconds = [run["seconds"] for run in theirs]
    print(f"genloop         {value:.9f}  {median(ours):6.2f} s (median of {ROUNDS})")
    print(f"torch-fidelity  {expected:.9f}  {median(seconds):6.2f} s")
    print(f"relative difference {abs(value - expected) / expected:.1e}, {median(seconds) / median(ours):.1f} times as fast")


if __name__ == "__main__":
    main()
