"""A small chart of a score over versions, with its intervals, as SVG that needs no script and no style of its own."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.core.numbers import three_digits
from pipelines.scoring.readings import Reading

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 560, 180, 56, 24, 12


@dataclass(frozen=True)
class Point:
    """x, y: where the value is. low, high: the ends of its interval; None where it has none. text: for people."""

    x: float
    y: float
    low: float | None
    high: float | None
    name: str
    text: str


@dataclass(frozen=True)
class Chart:
    points: list[Point]
    ticks: list[tuple[float, str]]

    @property
    def path(self) -> str:
        return " ".join(f"{'L' if place else 'M'}{point.x:.1f},{point.y:.1f}" for place, point in enumerate(self.points))


def draw(scores: list[tuple[int, Reading]]) -> Chart | None:
    """The chart of a score by version; None where no version has it."""
    if not scores:
        return None
    ends = [end for _, one in scores for end in (one.interval or (one.value,))] + [one.value for _, one in scores]
    low, high = min(ends), max(ends)
    if low == high:
        low, high = low - 0.5, high + 0.5

    def height(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    step = (WIDTH - LEFT - 24) / max(len(scores) - 1, 1)
    points = [
        Point(
            LEFT + 12 + place * step,
            height(one.value),
            height(one.interval.low) if one.interval else None,
            height(one.interval.high) if one.interval else None,
            str(number),
            one.text,
        )
        for place, (number, one) in enumerate(scores)
    ]
    return Chart(points, [(height(value), three_digits(float(value))) for value in (low, (low + high) / 2, high)])
