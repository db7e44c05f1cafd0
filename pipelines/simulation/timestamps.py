"""When a simulated rater says something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

BEGIN = datetime(2020, 1, 6, tzinfo=UTC)  # the first turn's first day; long past, so that no clock finds it in the future
DAYS = 7  # of a turn
HOURS = (8.0, 21.0)  # of the day, in which people begin
SESSIONS = 3  # most on which one rater's votes of a turn are spread, on different days
JUDGED = (2.0, 6.0)  # seconds that a person looks at an image
HURRIED = (0.5, 2.0)  # seconds between the votes of a burst


def of(random: np.random.Generator, turn: int, number: int, hurried: bool = False) -> list[datetime]:
    """`number` moments of the turn, one after the other: on several days, or in one go."""
    sessions = 1 if hurried else int(random.integers(1, SESSIONS + 1))
    days = np.sort(random.choice(DAYS, sessions, replace=False))
    moments: list[datetime] = []
    for day, part in zip(days, np.array_split(np.arange(number), sessions), strict=True):
        start = BEGIN + timedelta(days=DAYS * turn + int(day), hours=random.uniform(*HOURS))
        moments += [
            start + timedelta(seconds=round(s, 3))
            for s in np.cumsum(random.uniform(*(HURRIED if hurried else JUDGED), len(part)))
        ]
    return moments
