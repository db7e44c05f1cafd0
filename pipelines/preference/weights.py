"""The weights of real rows, by how likely people like them.

A row's weight is proportional to exp(strength * p): of all weightings as near to equal ones in relative entropy, the one with
the most approval (Gibbs). It is normalised within each class, so that classes keep their shares and weights a mean of 1. The
strength is what the effective share of the rows allows (Kish, 1965, section 11.2): the share of them which, all with equal
weights, would be worth as much.
"""

from __future__ import annotations

import numpy as np

# Two rows whose approval differs by a tenth differ by a factor e at most. Where approval hardly differs, the effective share
# would allow more, and that would make much of what is the model's error.
STRONGEST = 10.0
HALVINGS = 50  # of the range that the strength lies in: to the last digits


def strength(p: np.ndarray, labels: np.ndarray, floor: float) -> float:
    """The greatest strength that leaves an effective share of `floor` or more; the share falls as the strength grows.

    Args:
        p: (n,) float64, 0..1, how likely people like each row.
        labels: (n,) int, the rows' classes, -1 for none.
    """
    low, high = 0.0, STRONGEST
    if floor >= 1:  # rounding would let a little pass
        return low
    if effective_share(tilt(p, labels, high)) >= floor:
        return high
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if effective_share(tilt(p, labels, middle)) >= floor:
            low = middle
        else:
            high = middle
    return low


def tilt(p: np.ndarray, labels: np.ndarray, strength: float) -> np.ndarray:
    """(n,) float64 weights of this strength."""
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    raised = np.exp(strength * (p - p.max(initial=0.0)))
    return raised * (counts / np.bincount(classes, raised))[classes]


def effective_share(w: np.ndarray) -> float:
    """(sum w)² / (n sum w²): 1 where all weights are the same, 1/n where one row has all the weight."""
    return float(w.sum() ** 2 / (len(w) * (w @ w)))
