"""class_accuracy: share of drawn images that the benchmark's classifier takes for the class that was asked for.

0 to 1; higher is better (Ravuri & Vinyals, 2019, ask it the other way round). Bounded by the classifier's own accuracy on
held-out rows, which is in data/reports/reference.json. A model that draws one perfect image a class scores 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines.metrics.base import Benchmark, Drawn


def score(drawn: Drawn, benchmark: Benchmark) -> dict[str, Any]:
    if drawn.features.probabilities is None or drawn.labels is None:
        return {}
    right = drawn.features.probabilities.argmax(axis=1) == drawn.labels
    return {
        "class_accuracy": float(right.mean()),
        "class_accuracies": {
            name: float(right[drawn.labels == label].mean())
            for label, name in enumerate(benchmark.classes)
            if np.any(drawn.labels == label)
        },
    }
