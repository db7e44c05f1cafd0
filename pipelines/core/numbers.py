"""Numbers: how many seeds there are, and how people read figures."""

from __future__ import annotations

from numbers import Integral

SEEDS = 2**31  # all seeds are below
HOTTEST = 100.0  # temperature of guided generation; hardly any image is not accepted there


def three_digits(value: float | Integral) -> str:
    """Three significant digits, of whole numbers all digits: 1,350 for 1345.2, and 12,346 for 12346.

    More digits would say more than a score knows. Of two numbers the lower one never reads higher.
    """
    if isinstance(value, Integral):
        return f"{value:,}"
    rounded = float(f"{value:.3g}") + 0.0  # no -0
    return f"{rounded:,.0f}" if 1_000 <= abs(rounded) < 1e9 else f"{rounded:,.3g}"
