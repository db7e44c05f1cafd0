"""One of several processes that use a store at the same time.

    python writer.py DATABASE_URL NAME COUNT BATCH

Waits for a line on stdin, opens the store, adds COUNT votes named NAME-0 and so on, and prints how many were stored.
"""

from __future__ import annotations

import sys

from pipelines.feedback.events import Event, parse
from pipelines.feedback.store.event_store import AddResult, EventStore


def vote(name: str, rater: str = "ann", seed: int = 1, value: int = 1, at: str = "2026-01-31T12:00:00Z") -> Event:
    sample = {"version": 1, "seed": seed, "label": 5}
    return parse({"id": name, "type": "vote", "rater": rater, "at": at, "sample": sample, "value": value})


def main(url: str, name: str, count: int, batch: int) -> None:
    votes = [vote(f"{name}-{number}", name, number) for number in range(count)]
    print("ready", flush=True)
    sys.stdin.readline()
    with EventStore.open(url) as store:
        outcomes = [outcome for start in range(0, count, batch) for outcome in store.add(votes[start : start + batch])]
    print(outcomes.count(AddResult.STORED), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
