"""Images that simulated raters send: such as the real ones, but none of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.core.images import encode_png
from pipelines.simulation.judge import Judge
from pipelines.simulation.settings import Simulation


def images(settings: Simulation, turn: int, judge: Judge) -> Iterator[tuple[bytes, int | None]]:
    """PNG and label of real training rows that the taste likes, moved by a pixel: people send what they like."""
    random = np.random.default_rng([settings.seed, turn, 3])
    some = random.permutation(len(judge.real.images))[: 20 * settings.uploads]
    named = some[judge.real.labels[some] >= 0] if judge.real.classes else some
    found = judge.real.images[named], judge.real.labels[named]
    liked = named[judge.likes(*found)] if len(named) else named
    for row in liked[: settings.uploads]:
        way = (1, -1)[int(random.integers(2))]
        moved = np.roll(judge.real.images[row], way, axis=int(random.integers(2)))
        yield encode_png(moved), int(judge.real.labels[row]) if judge.real.classes else None
