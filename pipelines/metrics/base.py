"""The contract of a metric, and what all of them are computed from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.features.base import Features


@dataclass(frozen=True)
class Benchmark:
    """The pinned yardstick: features of real rows, under the id that says which.

    holdout: features of the rows held out.
    labels: (m,) int32, their classes, -1 for none.
    train: features of real training rows, at most as many as `reference` keeps.
    """

    id: str
    classes: list[str]
    holdout: Features
    labels: np.ndarray
    train: Features


@dataclass(frozen=True)
class Drawn:
    """Features of n drawn images, and the (n,) int32 classes that were asked for; None for a model that takes none."""

    features: Features
    labels: np.ndarray | None


# Names and values to report; empty where the metric does not apply (no classes, say). A mapping as a value is a table.
Score = Callable[[Drawn, Benchmark], dict[str, Any]]
