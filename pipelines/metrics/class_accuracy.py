"""class_accuracy: share of drawn images that the benchmark's classifier takes for the class that was asked for.

0 to 1; higher is better (Ravuri & Vinyals, 2019, ask it the other way round). Bounded by the classifier's own accuracy on
held-out rows, which is in data/reports/reference.json. A model that draws one perfect image a class scores 1. Needs 20 images
in all; a class has a figure of its own from 20 images of it.
"""

from __future__ import annotations

import numpy as np

from pipelines.metrics import base, intervals
from pipelines.metrics.base import Trial
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import chunks

LEAST = 20


def score(trial: Trial) -> dict[str, Estimate | dict[str, Estimate]]:
    probabilities, labels = trial.drawn.features.probabilities, trial.drawn.labels
    if probabilities is None or labels is None or not trial.benchmark.of_classes:
        return {}
    base.need("class_accuracy", len(labels), LEAST, "drawn rows")
    guesses = np.concatenate([chunk.argmax(axis=1) for _, chunk in chunks(probabilities)])
    right = (guesses == labels).astype(float)
    table = {}
    for label, name in enumerate(trial.benchmark.classes):
        of_class = right[labels == label]
        if len(of_class) >= LEAST:
            table[name] = base.mean(of_class, intervals.deal(len(of_class)), 0.0, 1.0)
    return {"class_accuracy": base.mean(right, trial.fake.groups, 0.0, 1.0), "class_accuracies": table}
