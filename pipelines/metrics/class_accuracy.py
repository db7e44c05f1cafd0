"""class_accuracy: share of generated images that the benchmark's classifier takes for the class that was asked for.

0 to 1; higher is better (Ravuri & Vinyals, 2019, ask it the other way round). An ideal model gets the classifier's own accuracy
on held-out rows, which is in data/reports/reference.json, too. A model that generates one perfect image a class scores 1.
Needs 20 images and 20 real rows with a class; a class has a figure of its own from 20 images of it.
"""

from __future__ import annotations

from pipelines.core.lazy import np
from pipelines.metrics import base, intervals
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import Vectors, chunks

NEEDS = "labels of the same classes in A and B, and an extractor that tells those classes apart"
MEANING = "Share of generated images in which a classifier sees the class that was asked for."
SCORES = (
    Score("class_accuracy", "higher", MEANING, least_rows=20, needs=NEEDS),
    Score("class_accuracies", "higher", "The same, class by class.", least_rows=20, needs=NEEDS, by_class=True),
)


def score(comparison: Comparison) -> dict[str, Estimate | dict[str, Estimate]]:
    probabilities, labels = comparison.candidate.features.probabilities, comparison.candidate.labels
    if probabilities is None or labels is None or not comparison.benchmark.of_classes:
        return {}
    base.require_rows(SCORES[:1], len(labels), "generated rows")
    real_labels, real_probabilities = comparison.benchmark.labels, comparison.benchmark.holdout.probabilities
    if named := int(np.count_nonzero(real_labels >= 0)):  # a few do not say whether the images are poor, or the classifier
        base.require_rows(SCORES[:1], named, "real rows with a class")
    correct = hits(probabilities, labels)
    real_correct = None if real_probabilities is None else hits(real_probabilities, real_labels)

    def ideal(chosen: np.ndarray) -> float | None:
        if real_correct is None or np.count_nonzero(chosen) < SCORES[0].least_rows:
            return None
        return float(real_correct[chosen].mean())

    table = {}
    for label, name in enumerate(comparison.benchmark.classes):
        of_class = correct[labels == label]
        if len(of_class) >= SCORES[1].least_rows:
            groups = intervals.assign_groups(len(of_class))
            table[name] = base.mean(of_class, groups, 0.0, 1.0, ideal=ideal(real_labels == label))
    total = base.mean(correct, comparison.generated.groups, 0.0, 1.0, ideal=ideal(real_labels >= 0))
    return {"class_accuracy": total, "class_accuracies": table}


def hits(probabilities: Vectors, labels: np.ndarray) -> np.ndarray:
    """(n,) float64: 1 where the likeliest of a row's (n, classes) probabilities is its label, else 0."""
    guesses = np.concatenate([chunk.argmax(axis=1) for _, chunk in chunks(probabilities)])
    return (guesses == labels).astype(float)
