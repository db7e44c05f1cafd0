"""People who are made up, so that it is known what they like."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from pipelines.preference.judgements import Judgements

WIDTH = 6


def taste(samples: int, seed: int, strength: float = 1.5, level: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """(n, WIDTH) float64 features, and (n,) log odds that people like each: a direction, as strong as that many deviations."""
    random = np.random.default_rng(seed)
    features = random.standard_normal((samples, WIDTH))
    direction = np.random.default_rng(9).standard_normal(WIDTH)
    return features, strength * (features @ direction) / np.linalg.norm(direction) + level


def votes(log_odds: np.ndarray, seed: int, each: int = 1, shuffled: bool = False) -> Judgements:
    """`each` vote on every sample; shuffled: the same votes, but on samples that they are not about."""
    random = np.random.default_rng([seed, 1])
    sample = np.repeat(np.arange(len(log_odds)), each)
    liked = random.random(len(sample)) < expit(log_odds[sample])
    if shuffled:
        liked = random.permutation(liked)
    threshold = np.full(len(sample), len(log_odds))
    return judged(len(log_odds), np.where(liked, sample, threshold), np.where(liked, threshold, sample))


def choices(log_odds: np.ndarray, seed: int, number: int) -> Judgements:
    """Between two samples that were drawn for it, each in one choice as long as they last."""
    random = np.random.default_rng([seed, 2])
    order = np.concatenate([random.permutation(len(log_odds)) for _ in range(2 * number // len(log_odds) + 1)])
    first, second = order[: 2 * number].reshape(-1, 2).T
    won = random.random(number) < expit(log_odds[first] - log_odds[second])
    return judged(len(log_odds), np.where(won, first, second), np.where(won, second, first))


def judged(samples: int, winners: np.ndarray, losers: np.ndarray) -> Judgements:
    return Judgements(np.arange(samples), winners, losers, np.ones(len(winners)))


def together(a: Judgements, b: Judgements) -> Judgements:
    parts = [np.concatenate([getattr(a, name), getattr(b, name)]) for name in ("winners", "losers", "weights")]
    return Judgements(a.units, *parts)
