"""Trials of made-up features."""

from __future__ import annotations

import numpy as np

from pipelines.features.base import Features
from pipelines.metrics import fid
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import Benchmark, GeneratedFeatures, LatentSteps
from pipelines.metrics.moments import Moments


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of Gaussians fitted to two sets of features, (n, d) and (m, d)."""
    return fid.frechet(Moments.from_rows(a), Moments.from_rows(b))


def trial(
    drawn: np.ndarray,
    real: np.ndarray,
    train: np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    real_labels: np.ndarray | None = None,
    classes: list[str] | None = None,
    steps: tuple[np.ndarray, np.ndarray] | None = None,
    approval: np.ndarray | None = None,
    learned: np.ndarray | None = None,
    real_probabilities: np.ndarray | None = None,
) -> Comparison:
    """Feature vectors against each other; what is not given is not there."""
    benchmark = Benchmark(
        "id",
        classes or [],
        Features(real, real_probabilities),
        np.full(len(real), -1) if real_labels is None else real_labels,
        None if train is None else Features(train, None),
        learned=learned,
    )
    walked = None if steps is None else LatentSteps(Features(steps[0], None), Features(steps[1], None), 0.1)
    return Comparison(GeneratedFeatures(Features(drawn, probabilities), labels, walked, approval), benchmark)
