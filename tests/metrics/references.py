"""What the reference libraries say of a few made-up features, kept in references.json.

    python -c "from benchmarks import peers; print(peers.python())"     # makes their environment, says where
    THAT_PYTHON tests/metrics/references.py

torch-fidelity 0.4.0 and prdc 0.2, on the CPU, in float64. The features are made here, so that only numbers are stored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

STORED = Path(__file__).with_suffix(".json")
SEED = 2020  # of the subsets of KID and the splits of the inception score
SUBSETS, SUBSET_SIZE, SPLITS = 10, 100, 10
NEIGHBOURHOOD, NEAREST_K = 3, 5


def made() -> dict[str, np.ndarray]:
    """drawn (400, 32), real (350, 32): correlated features, 0 or more; logits (400, 10) of the drawn rows."""
    random = np.random.default_rng(5)
    mixing = random.standard_normal((32, 32)) / np.sqrt(32)
    drawn = np.maximum(random.standard_normal((400, 32)) @ mixing * 0.9 + 0.1, 0)
    real = np.maximum(random.standard_normal((350, 32)) @ mixing, 0)
    return {"drawn": drawn, "real": real, "logits": 3 * random.standard_normal((400, 10))}


def main() -> None:
    import sys
    from unittest import mock

    for name in ("", ".transforms", ".transforms.functional", ".datasets", ".models"):
        sys.modules[f"torchvision{name}"] = mock.MagicMock()  # imported by torch-fidelity, not used by its arithmetic
    import torch
    from prdc import compute_prdc
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_isc import isc_features_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    arrays = made()
    drawn, real, logits = (torch.from_numpy(arrays[name]) for name in ("drawn", "real", "logits"))
    fid = fid_statistics_to_metric(fid_features_to_statistics(drawn), fid_features_to_statistics(real), False)
    kid = kid_features_to_metric(drawn, real, kid_subsets=SUBSETS, kid_subset_size=SUBSET_SIZE, rng_seed=SEED, verbose=False)
    prc = prc_features_to_metric(drawn, real, prc_neighborhood=NEIGHBOURHOOD, verbose=False)
    isc = isc_features_to_metric(logits, SPLITS, True, SEED)
    prdc = compute_prdc(arrays["real"], arrays["drawn"], NEAREST_K)
    found: dict[str, Any] = {
        "torch-fidelity": {
            "fid": fid["frechet_inception_distance"],
            "kid": kid["kernel_inception_distance_mean"],
            "inception_score": isc["inception_score_mean"],
            "precision": prc["precision"],
            "recall": prc["recall"],
        },
        "prdc": {name: float(value) for name, value in prdc.items()},
    }
    STORED.write_text(json.dumps(found, indent=2) + "\n")
    print(STORED.read_text())


if __name__ == "__main__":
    main()
