"""What metrics are computed from: features of generated and of real images."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.lazy import np
from pipelines.features.base import Features


@dataclass(frozen=True)
class Benchmark:
    """The pinned yardstick: features of real rows, under the id that says which.

    holdout: features of the rows held out.
    labels: (m,) int32, their classes, -1 for none.
    train: features of real training rows, at most as many as `reference` keeps; None where there are none, as between two
        folders of images.
    of_classes: whether the features' probabilities are over `classes`.
    learned: (t,) bool, the rows of `train` that the extractor has learned from; None where it has learned from none of them.
    pixels: (p, height, width, channels) uint8, views.pixels of held-out rows, those that views.pixel_rows chooses; None where
        the images are not at hand.
    pixel_labels: (p,) int32, their classes, -1 for none.
    ids, train_ids: (m,) and (t,) row_ids of both; None where the rows are not those of a data set.
    preferred: (m,) float64, weights of the held-out rows by how likely people like them, 1 on average; None where it is not
        known what they like.
    """

    id: str
    classes: list[str]
    holdout: Features
    labels: np.ndarray
    train: Features | None = None
    of_classes: bool = True
    learned: np.ndarray | None = None
    pixels: np.ndarray | None = None
    pixel_labels: np.ndarray | None = None
    ids: np.ndarray | None = None
    train_ids: np.ndarray | None = None
    preferred: np.ndarray | None = None


@dataclass(frozen=True)
class LatentSteps:
    """Features of n pairs of images that lie `epsilon` apart on paths through the model's latent space, of length 1 each."""

    start: Features
    end: Features
    epsilon: float


@dataclass(frozen=True)
class GeneratedFeatures:
    """Features of n generated images.

    labels: (n,) int32, the classes asked for; None for a model that takes none.
    steps: None where there is no model to walk through. no_steps: why there are none; empty where there is no model.
    approval: (n,) float64, how likely people like each, 0..1; None where it is not known what they like.
    pixels: (p, height, width, channels) uint8, views.pixels of the images with the numbers `pixel_rows` (p,), some of all
        classes; None where the images are not at hand.
    """

    features: Features
    labels: np.ndarray | None
    steps: LatentSteps | None = None
    approval: np.ndarray | None = None
    pixels: np.ndarray | None = None
    pixel_rows: np.ndarray | None = None
    no_steps: str = ""
