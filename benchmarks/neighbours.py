"""Precision, recall, density and coverage against prdc and torch-fidelity: two sets of 10,000 features of 2,048 dimensions.

    python -m benchmarks.neighbours

All get the same float32 arrays and the same cores, each in a process of its own, and take turns. prdc computes all four, here
for the fifth neighbour; torch-fidelity precision and recall, for the third. Memory is the peak of the process: what came on top
of the loaded features, and in total. prdc's values are also given for the same features as float64: distances of
float32 features it rounds to float32, which may turn a decision about a pair.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.frechet import ROUNDS, features

BEGIN = """
import json, sys, time
from unittest import mock
import numpy as np
drawn, real = (np.load(path) for path in sys.argv[1:])
def peak():  # not getrusage's, which a process inherits from the one that starts it
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
"""
START = """
before, start = peak(), time.perf_counter()
"""
END = """
seconds = time.perf_counter() - start
found = {name: float(value) for name, value in found.items()}
print(json.dumps({"found": found, "seconds": seconds, "mib": [peak() - before, peak()]}))
"""
PREPARE = {
    "genloop": "from pipelines.metrics import neighbours",
    "prdc": "from prdc import compute_prdc",
    "torch-fidelity": """
for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional", "torchvision.datasets",
             "torchvision.models"):
    sys.modules[name] = mock.MagicMock()  # imported, but not used by the arithmetic
import torch
from torch_fidelity.metric_prc import prc_features_to_metric
drawn, real = torch.from_numpy(drawn), torch.from_numpy(real)
""",
}
COMPUTE = {
    "genloop": """
who = neighbours.membership(drawn, real, [{k}])
found = {{"precision": (who.generated_in_real[0] > 0).mean(), "recall": who.real_in_generated[0].mean(),
         "density": who.generated_in_real[0].mean() / {k}, "coverage": who.real_reached[0].mean()}}
""",
    "prdc": "found = compute_prdc(real, drawn, {k})",
    "torch-fidelity": "found = prc_features_to_metric(drawn, real, prc_neighborhood={k}, verbose=False)",
}
CONTESTS = [("genloop", "prdc", 5), ("genloop", "torch-fidelity", 3)]
AS_FLOAT64 = """
drawn, real = drawn.astype(np.float64), real.astype(np.float64)
"""


def measure(name: str, k: int, files: list[Path], also: str = "") -> Any:
    script = BEGIN + PREPARE[name] + also + START + COMPUTE[name].format(k=k) + END
    return peers.run(script, *map(str, files), interpreter=Path(sys.executable) if name == "genloop" else None)


def main() -> None:
    peers.python()
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.npy" for name in ("drawn", "real")]
        for seed, file in enumerate(files, start=1):
            np.save(file, features(seed).astype(np.float32))
        rounds = [[[measure(name, k, files) for name in pair] for *pair, k in CONTESTS] for _ in range(ROUNDS)]
        exact = measure("prdc", 5, files, AS_FLOAT64)
    costs = np.median([[[[run["seconds"], *run["mib"]] for run in pair] for pair in pairs] for pairs in rounds], axis=0)
    print(f"medians of {ROUNDS}: seconds, MiB on top of the loaded features, MiB in total")
    for (*pair, k), both in zip(CONTESTS, costs, strict=True):
        for name, cost in zip(pair, both, strict=True):
            print(f"neighbour {k} {name:<15}" + "".join(f"{value:9.2f}" for value in cost))
        print(f"{'times as much':<27}" + "".join(f"{ratio:9.2f}" for ratio in both[1] / both[0]))
    (fifth, prdc), (third, torch_fidelity) = rounds[0]
    for name, ours, peer in ("prdc", fifth, prdc), ("prdc of float64", fifth, exact), ("torch-fidelity", third, torch_fidelity):
        for metric in [metric for metric in ours["found"] if metric in peer["found"]]:
            value, expected = ours["found"][metric], peer["found"][metric]
            apart = abs(value - expected) / expected
            print(f"{metric:<9} {value:.9f}, {name} {expected:.9f}, relative difference {apart:.1e}")


if __name__ == "__main__":
    main()
