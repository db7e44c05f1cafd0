"""What commands print and ask at the terminal: a table, and a question."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import typer

from pipelines.core.errors import InputError

if TYPE_CHECKING:
    from rich.text import Text

WIDTH = 140  # columns of a wide table where stdout is no terminal
DEFAULT_WIDTH = 80  # columns of a terminal that does not say how many it has


def table(columns: Iterable[str], rows: Iterable[Sequence[str | Text]], wide: bool = False) -> None:
    """Print a table on stdout. wide: it does not fit into lines of 80 characters."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, header_style="dim", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False, width=WIDTH if wide and not sys.stdout.isatty() else None)
    if console.width < 1:  # COLUMNS=0, which is how some terminals say that they do not know
        console.width = DEFAULT_WIDTH
    console.print(table)


def confirm(question: str, no_terminal_message: str) -> bool:
    """Ask the user yes or no. no_terminal_message: what the InputError says where there is no terminal to ask at."""
    if not sys.stdin.isatty():
        raise InputError(no_terminal_message)
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # the input has ended
        return False
