"""Folding: its cost as the number of folded events grows, and what SIGKILL at random moments does to it.

    python -m benchmarks.fold

10,000 new events are sealed where 10,000 and where 1,000,000 are sealed already, in files of 10,000, on SQLite. Then folds are
killed at random moments while events come in, and every event must be sealed once in the end.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks import workspace
from pipelines.feedback.events import Event, parse
from pipelines.feedback.sealed import seal
from pipelines.feedback.store.event_store import EventStore

NEW, ROUNDS = 10_000, 5
FOLD = "import sys; from pathlib import Path; from pipelines.feedback.sealed import seal; "
FOLD += "from pipelines.feedback.store.event_store import EventStore; "
FOLD += "seal.fold(EventStore.open(sys.argv[1]), Path(sys.argv[2]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--there", type=int, nargs="*", default=[10_000, 1_000_000], help="events sealed already")
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    seconds = [cost(count) for count in options.there]
    if len(seconds) > 1:
        print(f"{seconds[-1] / seconds[0]:.2f} times the time")
    kills(options.kills)


def votes(first: int, count: int) -> list[Event]:
    at = "2026-01-31T12:00:00Z"
    return [
        parse(
            {
                "id": f"e{number}",
                "type": "vote",
                "rater": f"rater{number % 50}",
                "at": at,
                "sample": {"version": 1, "seed": number, "label": number % 10},
                "value": 1 if number % 3 else -1,
            }
        )
        for number in range(first, first + count)
    ]


def cost(sealed: int) -> float:
    """Median seconds to seal NEW events where `sealed` events are sealed already."""
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder = Path(temporary) / "feedback"
        with EventStore.open(f"sqlite:///{temporary}/feedback.db") as store:
            for first in range(0, sealed, NEW):
                store.add(votes(first, NEW))
                seal.fold(store, folder)
            seconds = []
            for number in range(ROUNDS):
                store.add(votes(sealed + number * NEW, NEW))
                start = time.perf_counter()
                assert seal.fold(store, folder).events == NEW
                seconds.append(time.perf_counter() - start)
    found = sorted(seconds)[ROUNDS // 2]
    print(f"{NEW:,} events sealed beside {sealed:,}: {found:.2f} s (median of {ROUNDS})", flush=True)
    return found


def kills(count: int) -> None:
    dice = random.Random(0)
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder, url = Path(temporary) / "feedback", f"sqlite:///{temporary}/feedback.db"
        command = [sys.executable, "-c", FOLD, url, str(folder)]
        done = sent = 0
        with EventStore.open(url) as store:
            begin = time.perf_counter()
            subprocess.run(command, cwd=workspace.REPOSITORY, check=True)
            usual = time.perf_counter() - begin
            while done < count:
                store.add(votes(sent, 500))
                sent += 500
                process = subprocess.Popen(command, cwd=workspace.REPOSITORY)
                time.sleep(dice.uniform(0.6, 1.3) * usual)  # most of it is Python's start
                process.send_signal(signal.SIGKILL)
                done += process.wait() == -signal.SIGKILL
            seal.fold(store, folder)
        found = Counter(name for path in seal.sealed_files(folder) for name in seal.ids(folder, seal.footer(path)[0]))
        lost, doubled = sent - len(found), sum(times - 1 for times in found.values())
        print(f"{done} folds killed at random moments, {sent:,} events: {lost} lost, {doubled} doubled")


if __name__ == "__main__":
    main()
