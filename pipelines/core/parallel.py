"""Work in batches, and on all cores of the machine, with results in the order of the work."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from pipelines.core.errors import GenloopError
from pipelines.core.limits import cores
from pipelines.core.processes import die_with_parent
from pipelines.core.progress import say

Item = TypeVar("Item")
Chunk = TypeVar("Chunk")
Result = TypeVar("Result")

EXTRA_CHUNKS = 2  # in flight beyond one a worker: enough to keep all busy, few enough to bound memory


def batches(items: Iterable[Item], size: Callable[[Item], int], most: int, most_bytes: int) -> Iterator[list[Item]]:
    """The items in lists that bound memory by count and by bytes (`size` of each), whichever is reached first."""
    batch: list[Item] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if len(batch) == most or total >= most_bytes:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def map_ordered(function: Callable[[Chunk], Result], chunks: Iterable[Chunk], workers: int | None = None) -> Iterator[Result]:
    """`function` of each chunk, in the order of the chunks, by `workers` processes (None: one a core).

    Memory holds at most `workers + EXTRA_CHUNKS` chunks and their results, however many there are. `function` must be one that
    a new process can import (a module's function, or a `functools.partial` of one), and chunks and results must pickle.
    A single chunk is worked on in this process, as all are with a single worker: starting a process costs more than a chunk.
    So are all where the system lets no processes share their work.
    Raises GenloopError where a worker was killed; what `function` raises comes through as it is.
    """
    workers = workers or cores()
    chunks = iter(chunks)
    first = list(itertools.islice(chunks, 2))
    chunks = itertools.chain(first, chunks)
    if workers == 1 or len(first) < 2:
        yield from map(function, chunks)
        return
    try:  # spawned, not forked, because a fork copies locks that Arrow's and tqdm's threads may hold
        pool = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=start_worker, initargs=(os.getpid(),)
        )
    except OSError as error:  # its semaphores are files in /dev/shm, which a container may lack
        say(f"one core works instead of {workers}, because /dev/shm cannot be written: {error.strerror}")
        yield from map(function, chunks)
        return
    waiting: deque[Future[Result]] = deque()
    try:
        for chunk in chunks:
            waiting.append(pool.submit(function, chunk))
            if len(waiting) >= workers + EXTRA_CHUNKS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool:
        raise GenloopError("a worker process was killed, most often because memory ran out; free some and run again") from None
    finally:
        pool.shutdown(cancel_futures=True)


def start_worker(parent: int) -> None:
    """Die with the parent, and of Ctrl-C, which reaches the whole process group, without a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    die_with_parent(parent)
