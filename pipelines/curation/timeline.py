"""Votes over time, as bars for the page to draw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pipelines.feedback.events import Vote

WIDTH, HEIGHT, MOST = 400, 70, 60  # of the drawing, and bars in it


@dataclass(frozen=True)
class Bar:
    """likes, dislikes: heights; the second stands on the first."""

    x: float
    width: float
    likes: float
    dislikes: float
    title: str


@dataclass(frozen=True)
class Days:
    """each: days that one bar stands for. most: votes of the highest one. end: of the last one."""

    bars: list[Bar]
    first: date
    last: date
    each: int
    most: int
    end: float
    width: int = WIDTH
    height: int = HEIGHT


def count(votes: Sequence[Vote]) -> Days | None:
    """By day in UTC, or by as many days that there are not too many bars."""
    if not votes:
        return None
    days = [vote.at.date() for vote in votes]
    first, last = min(days), max(days)
    each = -(-((last - first).days + 1) // MOST)
    number = Counter(((day - first).days // each, vote.value) for day, vote in zip(days, votes, strict=True))
    places = (last - first).days // each + 1
    most = max(number[place, 1] + number[place, -1] for place in range(places))
    step = WIDTH / max(places, 12)
    return Days(
        [
            Bar(
                round(place * step, 2),
                round(step - 1, 2),
                round(number[place, 1] / most * HEIGHT, 2),
                round(number[place, -1] / most * HEIGHT, 2),
                f"{first + timedelta(place * each)}: {number[place, 1]:,} likes, {number[place, -1]:,} dislikes",
            )
            for place in range(places)
        ],
        first,
        last,
        each,
        most,
        places * step,
    )
