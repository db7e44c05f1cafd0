"""Images through a network in batches of one size, whatever the network is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pipelines.core.progress import Progress


def through(images: np.ndarray, size: int, network: Callable[[np.ndarray], Sequence[Any]]) -> list[np.ndarray]:
    """What `network` makes of (n, ...) images: its outputs for a batch, each of shape (size, ...), joined to (n, ...).

    Always `size` images at once, the last batch filled up: a row's features never depend on how many came with it.
    """
    found: list[np.ndarray] = []
    with Progress("features", len(images), "images") as progress:
        for start in range(0, len(images), size):
            chunk = images[start : start + size]
            filled = np.concatenate([chunk, np.zeros((size - len(chunk), *chunk.shape[1:]), chunk.dtype)])
            parts = [np.asarray(part) for part in network(filled)]
            found = found or [np.empty((len(images), *part.shape[1:]), part.dtype) for part in parts]
            for whole, part in zip(found, parts, strict=True):
                whole[start : start + len(chunk)] = part[: len(chunk)]
            progress.advance(len(chunk))
    return found


def softmax(logits: np.ndarray) -> np.ndarray:
    """(n, classes) -> (n, classes) float32, computed in float64."""
    wide = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return (wide / wide.sum(axis=1, keepdims=True)).astype(np.float32)
