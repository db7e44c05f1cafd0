"""Numbers: how many seeds there are, and how people read figures."""

from __future__ import annotations

SEEDS = 2**31  # all seeds are below


def four_digits(value: float) -> str:
    """Four significant digits; all those before the point, up to a thousand million."""
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e9 else f"{value + 0.0:,.4g}"
