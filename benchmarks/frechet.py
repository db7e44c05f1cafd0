"""FID arithmetic against torch-fidelity's: two sets of 10,000 features of 2,048 dimensions, in one run.

    python -m benchmarks.frechet

Both get the same arrays and the same cores and take turns. Means and covariances, which both have to compute from the features,
are timed apart from the distance between them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

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
fitted = fid_features_to_statistics(a), fid_features_to_statistics(b)
middle = time.perf_counter()
value = fid_statistics_to_metric(*fitted, False)["frechet_inception_distance"]
print(json.dumps({"value": float(value), "seconds": [middle - start, time.perf_counter() - middle]}))
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
            fitted = fid.moments(sets[0]), fid.moments(sets[1])
            middle = time.perf_counter()
            value = fid.frechet(*fitted[0], *fitted[1])
            ours.append([middle - start, time.perf_counter() - middle])
            theirs.append(peers.run(PEER, *map(str, files)))
    expected = theirs[0]["value"]
    seconds = {"genloop": ours, "torch-fidelity": [run["seconds"] for run in theirs]}
    medians = {name: np.median(runs, axis=0) for name, runs in seconds.items()}
    for name, (moments, distance) in medians.items():
        print(f"{name:<15} means and covariances {moments:.2f} s, distance {distance:.2f} s (medians of {ROUNDS})")
    moments, distance = medians["torch-fidelity"] / medians["genloop"]
    whole = medians["torch-fidelity"].sum() / medians["genloop"].sum()
    print(f"times as fast: means and covariances {moments:.1f}, distance {distance:.1f}, both together {whole:.1f}")
    print(f"{value:.9f} and {expected:.9f}, relative difference {abs(value - expected) / expected:.1e}")


if __name__ == "__main__":
    main()
