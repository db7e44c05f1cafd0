"""FID arithmetic against torch-fidelity's and clean-fid's: two sets of 10,000 features of 2,048 dimensions, in one run.

    python -m benchmarks.frechet

All get the same arrays and the same cores and take turns. Means and covariances, which all have to compute from the features,
are timed apart from the distance between them.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import peers
from pipelines.metrics import fid
from pipelines.metrics.moments import Moments

ROWS, WIDTH, ROUNDS = 10_000, 2048, 3

BEGIN = """
import json, sys, time
from unittest import mock
for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets",
             "torchvision.models"):
    sys.modules[name] = mock.MagicMock()  # imported, but not used by the arithmetic
import numpy as np, torch
a, b = (np.load(path) for path in sys.argv[1:])
"""
END = """
print(json.dumps({"value": float(value), "seconds": [middle - start, time.perf_counter() - middle]}))
"""
PEERS = {
    "torch-fidelity": """
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
a, b = torch.from_numpy(a), torch.from_numpy(b)
start = time.perf_counter()
fitted = fid_features_to_statistics(a), fid_features_to_statistics(b)
middle = time.perf_counter()
value = fid_statistics_to_metric(*fitted, False)["frechet_inception_distance"]
""",
    "clean-fid": """
from cleanfid.fid import frechet_distance
start = time.perf_counter()
fitted = [(np.mean(features, axis=0), np.cov(features, rowvar=False)) for features in (a, b)]
middle = time.perf_counter()
value = frechet_distance(*fitted[0], *fitted[1])
""",
}


def features(seed: int) -> np.ndarray:
    """(ROWS, WIDTH) float64, 0 or more, correlated: what pooled activations look like."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(0).standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH)
    return np.maximum(random.standard_normal((ROWS, WIDTH)) @ mixing + 0.02 * seed, 0)


def main() -> None:
    sets = [features(1), features(2)]
    peers.python()
    seconds: dict[str, list[list[float]]] = {name: [] for name in ("genloop", *PEERS)}
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.npy" for name in "ab"]
        for file, array in zip(files, sets, strict=True):
            np.save(file, array)
        for _ in range(ROUNDS):
            start = time.perf_counter()
            fitted = Moments.from_rows(sets[0]), Moments.from_rows(sets[1])
            middle = time.perf_counter()
            values["genloop"] = fid.frechet(*fitted)
            seconds["genloop"].append([middle - start, time.perf_counter() - middle])
            for name, script in PEERS.items():
                done = peers.run(BEGIN + script + END, *map(str, files))
                values[name] = done["value"]
                seconds[name].append(done["seconds"])
    medians = {name: np.median(runs, axis=0) for name, runs in seconds.items()}
    ours = medians["genloop"]
    for name, (moments, distance) in medians.items():
        print(f"{name:<15} means and covariances {moments:.2f} s, distance {distance:.2f} s (medians of {ROUNDS})")
    for name in PEERS:
        moments, distance = medians[name] / ours
        print(f"times as fast as {name}: means and covariances {moments:.1f}, distance {distance:.1f}, ", end="")
        print(f"both together {medians[name].sum() / ours.sum():.1f}; ", end="")
        print(f"relative difference {abs(values['genloop'] - values[name]) / values[name]:.1e}")


if __name__ == "__main__":
    main()
