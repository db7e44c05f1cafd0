"""The thread that stores what people say and were shown, many at once in one transaction, and then has it learned from.

A vote is answered when it is stored, and learned from right after; `wait` is until everything that a rater has said so far is.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, groupby
from typing import Any, TypeVar

from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Event
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store.event_store import AddResult, EventStore

Results = list[AddResult]
T = TypeVar("T")
MOST = 500  # requests in one transaction


@dataclass(frozen=True)
class Addition:
    """Events and shown samples that are to be stored."""

    events: Sequence[Event]
    shown: Sequence[ShownSample]
    future: Future[Results]


@dataclass(frozen=True)
class Withdrawal:
    """An event that its rater takes back."""

    name: str
    rater: str
    future: Future[bool]


Change = list[Event] | str  # what is learned from: new events, or the id of one that was withdrawn


class Recorder:
    """store: opened at the first use, in the thread. learn: called in another thread, with what has changed, in order."""

    def __init__(self, url: str, learn: Callable[[Change], None], log: Callable[[str], None]) -> None:
        self.url, self.learn, self.log = url, learn, log
        self.waiting: queue.SimpleQueue[Addition | Withdrawal | None] = queue.SimpleQueue()
        self.stored: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self.learned = threading.Condition()
        self.pending: dict[str, int] = {}  # by rater, events that are stored and not learned from yet
        self.threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self.write_all, "recorder"), (self.learn_all, "learner"))
        ]
        for thread in self.threads:
            thread.start()

    def add(self, events: Sequence[Event], shown: Sequence[ShownSample] = ()) -> Future[Results]:
        """Store them, in the order of the calls. GenloopError in the future where the database does not answer."""
        future: Future[Results] = Future()
        self.waiting.put(Addition(events, shown, future))
        return future

    def withdraw(self, name: str, rater: str) -> Future[bool]:
        """Take an event back, and what was learned from it. False in the future where `EventStore.withdraw` says so."""
        future: Future[bool] = Future()
        self.waiting.put(Withdrawal(name, rater, future))
        return future

    def close(self) -> None:
        """Store what waits, then end."""
        self.waiting.put(None)
        self.threads[0].join()
        self.stored.put(None)

    def wait(self, rater: str, seconds: float) -> bool:
        """Wait until what a rater has said is learned from; False where it takes longer."""
        with self.learned:
            return self.learned.wait_for(lambda: not self.pending.get(rater), seconds)

    def write_all(self) -> None:
        store: EventStore | None = None
        ended = False
        while not ended:
            requests = drain(self.waiting)
            ended = None in requests
            for kind, group in groupby([one for one in requests if one is not None], type):
                together: list[Any] = list(group)
                try:
                    store = store or EventStore.open(self.url)
                    self.write(store, together) if kind is Addition else self.take_back(store, together)
                except Exception as error:  # each who waits gets it; the next ones may have more luck
                    self.log(f"what people say could not be stored: {error}")
                    words = error if isinstance(error, GenloopError) else GenloopError("the database does not take it now")
                    for one in together:
                        if not one.future.done():
                            one.future.set_exception(words)
        if store:
            store.close()

    def write(self, store: EventStore, together: Sequence[Addition]) -> None:
        if samples := [one for some in together for one in some.shown]:
            store.add_samples(samples)
        events = [event for one in together for event in one.events]  # also of who has gone away meanwhile
        results = store.add(events) if events else []
        if new := [event for event, result in zip(events, results, strict=True) if result is AddResult.STORED]:
            with self.learned:
                for event in new:
                    self.pending[event.rater] = self.pending.get(event.rater, 0) + 1
            self.stored.put(new)
        place = 0
        for one in together:
            answer(one.future, results[place : place + len(one.events)])
            place += len(one.events)

    def take_back(self, store: EventStore, together: Sequence[Withdrawal]) -> None:
        for one in together:
            gone = store.withdraw(one.name, one.rater)
            if gone:
                self.stored.put(one.name)
            answer(one.future, gone)

    def learn_all(self) -> None:
        ended = False
        while not ended:
            changes = drain(self.stored)
            ended = None in changes
            for kind, group in groupby([one for one in changes if one is not None], type):
                together: list[Any] = list(group)
                for change in [list(chain.from_iterable(together))] if kind is list else together:
                    try:
                        self.learn(change)
                    except Exception as error:  # learned anew when the studio starts again: nothing is lost
                        self.log(f"what was said is stored, but the studio could not learn from it: {error}")
                    if isinstance(change, list):
                        self.settle(change)

    def settle(self, events: Sequence[Event]) -> None:
        """Let those go on who wait until these are learned from."""
        with self.learned:
            for event in events:
                left = self.pending.get(event.rater, 0) - 1
                if left > 0:
                    self.pending[event.rater] = left
                else:
                    self.pending.pop(event.rater, None)
            self.learned.notify_all()


def drain(waiting: queue.SimpleQueue[T]) -> list[T]:
    """What waits in a queue, at least one and at most MOST."""
    found = [waiting.get()]
    while len(found) < MOST and not waiting.empty():
        found.append(waiting.get())
    return found


def answer(future: Future[T], result: T) -> None:
    """Give a result to whoever still waits for it."""
    if future.set_running_or_notify_cancel():
        future.set_result(result)
