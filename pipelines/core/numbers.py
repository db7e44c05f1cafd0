"""Numbers: how many seeds there are, and how people read figures."""

from __future__ import annotations

from numbers import Integral

SEEDS = 2**31  # all seeds are below
UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")
HOTTEST = 100.0  # temperature of guided generation; hardly any image is not accepted there
LONGEST_PROMPT = 500  # characters; an index of PostgreSQL's takes no more than 2,700 bytes


def three_digits(value: float | Integral) -> str:
    """Three significant digits, of whole numbers all digits: 1,350 for 1345.2, and 12,346 for 12346.

    More digits would say more than a score knows. Of two numbers the lower one never reads higher.
    """
    if isinstance(value, Integral):
        return f"{value:,}"
    rounded = float(f"{value:.3g}") + 0.0  # no -0
    return f"{rounded:,.0f}" if 1_000 <= abs(rounded) < 1e9 else f"{rounded:,.3g}"


def describe_bytes(count: float) -> str:
    """1.2 GB, as disks are sold: 1 kB is 1,000 bytes."""
    power = 0
    while round(count, 1) >= 1000 and power < len(UNITS) - 1:
        count, power = count / 1000, power + 1
    return f"{count:,.0f} {UNITS[power]}" if count >= 100 or not power else f"{count:.1f} {UNITS[power]}"
