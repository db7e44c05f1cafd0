"""The geometry of the plots on pages; templates draw them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pipelines.core.numbers import three_digits
from pipelines.metrics.intervals import Estimate
from pipelines.scoring.readings import Reading

LEFT, RIGHT, TOP, BOTTOM = 46, 20, 10, 18  # space around a plot, for the numbers at its axes
NEAR = 14  # pixels: two labels closer than this cannot both be read
BAR_WIDTH = 120  # of the line that an interval lies on
LEAST_WIDTH = 3  # of an interval, so that one of no width is visible

Range = tuple[float, float]


@dataclass(frozen=True)
class PlotMark:
    """A point, or a tick of an axis with its number."""

    x: float
    y: float
    label: str = ""
    title: str = ""


@dataclass(frozen=True)
class Plot:
    """points: joined by a line. across, up: ticks of the axes, which go from left to right and from bottom to top."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    points: list[PlotMark]
    across: list[PlotMark]
    up: list[PlotMark]


@dataclass(frozen=True)
class IntervalBar:
    """An interval from `x` on, the mark of its value, and that of what an ideal model gets, if that is known."""

    x: float
    width: float
    mark: float
    title: str
    ideal: float | None = None


def plot(points: Sequence[tuple[float, float, str]], x: Range, y: Range, width: int, height: int) -> Plot:
    """Points are x, y and the text that shows when the pointer is over them."""
    right, bottom = width - RIGHT, height - BOTTOM
    marks = [PlotMark(position(a, x, LEFT, right), position(b, y, bottom, TOP), title=title) for a, b, title in points]
    across = [PlotMark(position(value, x, LEFT, right), bottom, axis_number(value)) for value in ticks(*x, width // 60)]
    up = [PlotMark(LEFT, position(value, y, bottom, TOP), axis_number(value)) for value in ticks(*y, height // 35)]
    return Plot(width, height, LEFT, right, TOP, bottom, marks, across, up)


def with_labels(plot: Plot, labels: Sequence[str]) -> Plot:
    """The plot with a label at each point; points that lie close together share one."""
    groups: list[list[int]] = []
    for i, mark in enumerate(plot.points):
        first = plot.points[groups[-1][0]] if groups else None
        if first and math.dist((mark.x, mark.y), (first.x, first.y)) < NEAR:
            groups[-1].append(i)
        else:
            groups.append([i])
    texts = {group[0]: ", ".join(labels[i] for i in group) for group in groups}
    return replace(plot, points=[replace(mark, label=texts.get(i, "")) for i, mark in enumerate(plot.points)])


def bar(estimate: Estimate, scale: Range) -> IntervalBar:
    low, high = (position(min(max(end, scale[0]), scale[1]), scale, 0, BAR_WIDTH) for end in estimate.interval)
    width = max(high - low, LEAST_WIDTH)
    x = min(max((low + high - width) / 2, 0), BAR_WIDTH - width)
    reading = Reading.of(estimate)
    low_end, high_end = map(three_digits, scale)
    title = f"{reading.value_text}, 95% interval {reading.interval_text}; the line is {low_end} to {high_end}"
    ideal = None if estimate.ideal is None else position(min(max(estimate.ideal, scale[0]), scale[1]), scale, 0, BAR_WIDTH)
    return IntervalBar(round(x, 2), round(width, 2), position(estimate.unbiased, scale, 0, BAR_WIDTH), title, ideal)


def position(value: float, scale: Range, first: float, last: float) -> float:
    """The position of a value, if the ends of its range are at `first` and `last`."""
    return round(first + (value - scale[0]) / ((scale[1] - scale[0]) or 1) * (last - first), 2)


def scale(estimates: Iterable[Estimate]) -> Range:
    """From the least to the most that such scores can be, or, where there is no limit, as far as these go."""
    ends = []
    for e in estimates:
        ends.append(e.least if math.isfinite(e.least) else min(0.0, e.interval.low))
        ends.append(e.most if math.isfinite(e.most) else max(0.0, e.interval.high))
    return min(ends), max(ends)


def padded_range(values: Sequence[float]) -> Range:
    """Lowest and highest, never so close that the numbers at the axis would be the same."""
    low, high = min(values), max(values)
    slack = max(0.0, 0.01 * max(abs(low), abs(high), 1e-9) - (high - low)) / 2
    return low - slack, high + slack


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between both, about `most` of them."""
    if not high > low:
        return [low]
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    step = next(power * size for size in (1, 2, 5, 10) if power * size * most >= (high - low) * 0.999)
    return [step * i for i in range(math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6) + 1)]


def axis_number(value: float) -> str:
    """A short number, for an axis."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if 10_000 <= abs(value) < 1e9 and abs(value) >= size:
            return f"{value / size:,.4g}{letter}"
    return f"{value + 0.0:,.4g}"  # ticks are round, and each must read differently
