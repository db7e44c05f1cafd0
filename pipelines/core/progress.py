"""Progress of long work: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

INTERVAL = 5.0  # seconds between plain lines


def say(line: str) -> None:
    """Show the user a line at once, on stderr: stdout is for what a program may read."""
    print(line, file=sys.stderr, flush=True)


class Progress:
    """Counts units of work up to `total` (None: unknown), and shows how fast they are done.

    >>> with Progress("clean", total=3, unit="images") as progress:
    ...     progress.advance(3)
    """

    def __init__(self, name: str, total: int | None, unit: str) -> None:
        from tqdm import tqdm  # only now: it takes longer than the rest of `genloop --help`

        self.name, self.total, self.unit = name, total, unit
        self.done, self.note = 0, ""
        self.started = self.reported = time.monotonic()
        self.first: tuple[float, int] | None = None  # when the first line was, and what was done: what came before is slow
        self.bar = tqdm(total=total, desc=name, unit=f" {unit}", unit_scale=True, leave=False, disable=not sys.stderr.isatty())

    def advance(self, by: int = 1, note: str = "") -> None:
        self.done += by
        self.note = note or self.note
        if not self.bar.disable:
            self.bar.set_postfix_str(self.note, refresh=False)
            self.bar.update(by)
        elif time.monotonic() - self.reported >= INTERVAL:
            self.report()

    def report(self) -> None:
        self.reported = time.monotonic()
        rate = self.done / max(self.reported - self.started, 1e-9)
        left = ""
        if self.first and self.total and self.done > self.first[1]:
            since = (self.reported - self.first[0]) / (self.done - self.first[1])
            left = f", {duration((self.total - self.done) * since)} left"
        self.first = self.first or (self.reported, self.done)
        total = f"/{self.total:,}" if self.total else ""
        note = f" · {self.note}" if self.note else ""
        say(f"{self.name}: {self.done:,}{total} {self.unit} · {speed(rate)} {self.unit}/s{left}{note}")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.close()


def speed(rate: float) -> str:
    """With a digit where the whole number would be a poor one."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1g}" if rate < 1 else f"{rate:.1f}"


def duration(seconds: float) -> str:
    seconds = round(seconds)
    return f"{seconds} s" if seconds < 90 else f"{seconds // 60} min {seconds % 60} s"
