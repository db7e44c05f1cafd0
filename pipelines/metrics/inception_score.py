"""inception_score: exp of the mean KL divergence of p(class | image) from p(class) (Salimans et al., 2016, section 4).

1 to the number of classes; higher is better: each image is clearly of one class, and all classes come. By the
extractor's classifier: the benchmark's own for `domain`, ImageNet's for `inception`. It sees neither variety within a class
nor the real images, but an ideal model gets what held-out rows get. Needs ten images for each class that the classifier knows.
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.core.lazy import np
from pipelines.metrics import base, intervals
from pipelines.metrics.base import Comparison, FeatureRows, Score
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import Vectors, chunks

MEANING = "Whether each image clearly shows one class, and all classes occur; at most their number."
SCORES = (Score("inception_score", "higher", MEANING, rows_per_class=10, needs="an extractor that knows classes"),)


def score(comparison: Comparison) -> dict[str, Estimate]:
    probabilities, real = comparison.candidate.features.probabilities, comparison.benchmark.holdout.probabilities
    if probabilities is None:
        return {}
    classes = probabilities.shape[1]
    base.require_rows(SCORES, len(comparison.generated), "generated rows", classes=classes)
    found = estimate(probabilities, comparison.generated)
    if real is not None and len(comparison.real) >= SCORES[0].rows(classes=classes):
        found = replace(found, ideal=estimate(real, comparison.real).unbiased)
    return {"inception_score": found}


def estimate(probabilities: Vectors, rows: FeatureRows) -> Estimate:
    """The score of (n, classes) probabilities; `rows` are their features, whose groups are left out."""
    classes, groups, number = probabilities.shape[1], rows.groups, rows.group_count
    shares, information = np.zeros((number, classes)), np.zeros(number)
    for start, chunk in chunks(probabilities):
        p, own = np.clip(chunk.astype(np.float64), 1e-16, 1), groups[start : start + len(chunk)]  # 0 has no logarithm
        np.add.at(shares, own, p)
        information += np.bincount(own, (p * np.log(p)).sum(axis=1), minlength=number)
    counts = np.bincount(groups, minlength=number)

    def statistic(mask: np.ndarray, _: np.ndarray) -> float:
        rows = counts[mask].sum()
        mean = shares[mask].sum(axis=0) / rows
        return float(np.exp(information[mask].sum() / rows - mean @ np.log(mean)))

    return intervals.estimate(statistic, number, 0, least=1.0, most=float(classes))
