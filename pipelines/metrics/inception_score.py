"""inception_score: exp of the mean KL divergence of p(class | image) from p(class) (Salimans et al., 2016, section 4).

1 to the number of classes; higher is better: each image is clearly of one class, and all classes are drawn. By the
extractor's classifier: the benchmark's own for `domain`, ImageNet's for `inception`. It sees neither variety within a class
nor the real images. Needs ten images for each class that the classifier knows.
"""

from __future__ import annotations

import numpy as np

from pipelines.metrics import base, intervals
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import chunks


def score(trial: Trial) -> dict[str, Estimate]:
    probabilities = trial.drawn.features.probabilities
    if probabilities is None:
        return {}
    classes = probabilities.shape[1]
    base.need("inception_score", len(trial.fake), 10 * classes, "drawn rows")
    groups, number = trial.fake.groups, trial.fake.number
    shares, information = np.zeros((number, classes)), np.zeros(number)
    for start, chunk in chunks(probabilities):
        p, own = sound(chunk), groups[start : start + len(chunk)]
        np.add.at(shares, own, p)
        information += np.bincount(own, (p * np.log(p)).sum(axis=1), minlength=number)
    counts = np.bincount(groups, minlength=number)

    def statistic(kept: np.ndarray, _: np.ndarray) -> float:
        rows = counts[kept].sum()
        mean = shares[kept].sum(axis=0) / rows
        return float(np.exp(information[kept].sum() / rows - mean @ np.log(mean)))

    return {"inception_score": intervals.estimate(statistic, number, 0, least=1.0, most=float(classes))}


def inception(probabilities: np.ndarray) -> float:
    """(n, classes) rows that sum to 1 -> score, in float64."""
    p = sound(probabilities)
    mean = p.mean(axis=0)
    return float(np.exp((p * np.log(p)).sum(axis=1).mean() - mean @ np.log(mean)))


def sound(probabilities: np.ndarray) -> np.ndarray:
    """float64, and nowhere 0, whose logarithm is none."""
    return np.clip(probabilities.astype(np.float64), 1e-16, 1)
