"""Where the marks of the page's drawings lie; the template draws them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipelines.metrics.intervals import Estimate

LEFT, RIGHT, TOP, BOTTOM = 46, 20, 10, 18  # room about a plot, for the figures at its axes
NEAR = 14  # two labels closer than this cannot both be read
BAR = 120  # how wide the bar of an interval may get
THIN = 3  # and how narrow: an interval of no width is to be seen as well

Range = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A point, or a place on an axis with its figure."""

    x: float
    y: float
    label: str = ""
    title: str = ""


@dataclass(frozen=True)
class Plot:
    """points are joined by a line; `across` and `up` are the ticks of the axes, which reach from left to right and from
    bottom to top."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    points: list[Mark]
    across: list[Mark]
    up: list[Mark]


@dataclass(frozen=True)
class Bar:
    """An interval from x on, and the mark of the value."""

    x: float
    width: float
    mark: float
    title: str


def plot(points: Sequence[tuple[float, float, str]], x: Range, y: Range, width: int, height: int) -> Plot:
    """Points are x, y and what is said when the pointer is over them."""
    right, bottom = width - RIGHT, height - BOTTOM
    marks = [Mark(place(a, x, LEFT, right), place(b, y, bottom, TOP), title=title) for a, b, title in points]
    across = [Mark(place(value, x, LEFT, right), bottom, short(value)) for value in ticks(*x, width // 60)]
    up = [Mark(LEFT, place(value, y, bottom, TOP), short(value)) for value in ticks(*y, height // 35)]
    return Plot(width, height, LEFT, right, TOP, bottom, marks, across, up)


def labelled(plot: Plot, labels: Sequence[str]) -> Plot:
    """With a label at each point; points that lie close together share one."""
    groups: list[list[int]] = []
    for i, mark in enumerate(plot.points):
        first = plot.points[groups[-1][0]] if groups else None
        if first and math.dist((mark.x, mark.y), (first.x, first.y)) < NEAR:
            groups[-1].append(i)
        else:
            groups.append([i])
    said = {group[0]: ", ".join(labels[i] for i in group) for group in groups}
    return replace(plot, points=[replace(mark, label=said.get(i, "")) for i, mark in enumerate(plot.points)])


def bar(estimate: Estimate, over: Range) -> Bar:
    low, high = (place(min(max(end, over[0]), over[1]), over, 0, BAR) for end in estimate.interval)
    width = max(high - low, THIN)
    x = min(max((low + high - width) / 2, 0), BAR - width)
    title = f"{number(estimate.value)}, 95% interval {said(estimate)}; the line is {number(over[0])} to {number(over[1])}"
    return Bar(round(x, 2), round(width, 2), place(estimate.value, over, 0, BAR), title)


def place(value: float, over: Range, first: float, last: float) -> float:
    """Where a value lies if the ends of a range lie at `first` and `last`."""
    return round(first + (value - over[0]) / ((over[1] - over[0]) or 1) * (last - first), 2)


def scale(estimates: Iterable[Estimate]) -> Range:
    """From the least to the most that such scores can be, or as far as these go."""
    ends = []
    for e in estimates:
        ends.append(e.least if math.isfinite(e.least) else min(0.0, e.value, e.interval.low))
        ends.append(e.most if math.isfinite(e.most) else max(0.0, e.value, e.interval.high))
    return min(ends), max(ends)


def roomy(values: Sequence[float]) -> Range:
    """Lowest and highest, but never so close that the figures at the axis would be the same."""
    low, high = min(values), max(values)
    slack = max(0.0, 0.01 * max(abs(low), abs(high), 1e-9) - (high - low)) / 2
    return low - slack, high + slack


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round figures between both, about `most`."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * size for size in (1, 2, 5, 10) if power * size * most >= (high - low) * 0.999)
    return [step * i for i in range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1)]


def said(estimate: Estimate) -> str:
    return f"{number(estimate.interval.low)} to {number(estimate.interval.high)}"


def number(value: float) -> str:
    """Four significant digits."""
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e9 else f"{value + 0.0:,.4g}"


def short(value: float) -> str:
    """For an axis, where there is little room."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if 10_000 <= abs(value) < 1e9 and abs(value) >= size:
            return f"{value / size:,.4g}{letter}"
    return number(value)
