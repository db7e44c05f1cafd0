"""Memory that a studio has freed goes back to the system: learning takes much of it for seconds, and a studio runs for months.

The C library (glibc) keeps what threads have freed in an arena for each of them. Elsewhere these functions do nothing.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import time

ARENA_MAX = -8  # M_ARENA_MAX of malloc.h
ARENAS = 2
EVERY = 30.0  # seconds between two times

last = 0.0


def use_few_arenas() -> None:
    """To be called before there are many threads."""
    with contextlib.suppress(OSError, AttributeError):
        library().mallopt(ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give back what is free, now and then; it takes milliseconds."""
    global last
    if time.monotonic() - last > EVERY:
        last = time.monotonic()
        with contextlib.suppress(OSError, AttributeError):
            library().malloc_trim(0)


def library() -> ctypes.CDLL:
    if not sys.platform.startswith("linux"):
        raise OSError("no glibc")
    return ctypes.CDLL("libc.so.6")
