"""The turns as a picture: what the taste says, and what it costs."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from pipelines.simulation.turns import Turn

BLUE, ORANGE, GREY = "#1f6fb4", "#d9730d", "#8a8a8a"


def png(turns: Sequence[Turn], real_approval: float) -> bytes:
    """Four plots over the turns: approval, FID, recall and coverage, balance of the classes.

    Args:
        real_approval: share of real rows that the taste likes.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(10, 7), layout="constrained")
    approval, fid, spread, balance = figure.subplots(2, 2).ravel()
    line(approval, turns, "approval", BLUE, "")
    approval.axhline(real_approval, color=GREY, linestyle="--", label="real images")
    approval.set_title("share that the taste likes, fresh samples")
    line(fid, turns, "fid", BLUE, "")
    fid.set_ylim(bottom=0)
    fid.set_title("FID")
    line(spread, turns, "recall", BLUE, "recall")
    line(spread, turns, "coverage", ORANGE, "coverage")
    spread.set_ylim(0, 1)
    spread.set_title("recall and coverage")
    line(balance, turns, "greatest", ORANGE, "class with the most")
    line(balance, turns, "least", BLUE, "class with the least")
    for bound in (0.5, 2):
        balance.axhline(bound, color=GREY, linestyle="--")
    balance.set_yscale("symlog", base=2, linthresh=0.25)  # a class may have nothing at all
    balance.set_yticks([0, 0.25, 0.5, 1, 2, 4, 8])
    balance.set_ylim(0, max([2.5, *(1.1 * turn.greatest for turn in turns if turn.greatest)]))
    balance.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    balance.set_title("share of a class, of the share asked for")
    for axes in (approval, fid, spread, balance):
        axes.set_xlabel("turn")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[1]:
            axes.legend()
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return content.getvalue()


def line(axes: Any, turns: Sequence[Turn], name: str, colour: str, label: str) -> None:
    """One figure over the turns, with its interval where it has one. Turns without the figure are left out."""
    points = [(turn.turn, getattr(turn, name), turn) for turn in turns if getattr(turn, name) is not None]
    if not points:
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", color=GREY)
        return
    numbers, values, found = zip(*points, strict=True)
    axes.plot(numbers, values, "o-", color=colour, label=label or None)
    low, high = ([getattr(turn, f"{name}_{end}", None) for turn in found] for end in ("low", "high"))
    if None not in low and None not in high:
        axes.vlines(numbers, low, high, color=colour, alpha=0.5, linewidth=4)
