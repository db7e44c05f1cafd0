"""inception_score: exp of the mean KL divergence of p(class | image) from p(class) (Salimans et al., 2016, section 4).

1 to the number of classes; higher is better: each image is clearly of one class, and all classes are drawn. By the
benchmark's own classifier, not by Inception. It does not see variety within a class.
"""

from __future__ import annotations

import numpy as np

from pipelines.metrics.base import Benchmark, Drawn


def score(drawn: Drawn, benchmark: Benchmark) -> dict[str, float]:
    if drawn.features.probabilities is None:
        return {}
    return {"inception_score": inception(drawn.features.probabilities)}


def inception(probabilities: np.ndarray) -> float:
    """(n, classes) rows that sum to 1 -> score, in float64."""
    p = np.clip(probabilities.astype(np.float64), 1e-16, 1)
    divergence = (p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1)
    return float(np.exp(divergence.mean()))
