"""The thread that stores what people say and were shown, many at once in one transaction, and then has it learned from.

A vote is answered when it is stored, and learned from right after; `wait` is until everything that a rater has said so far is.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Event
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store.event_store import AddResult, EventStore

Results = list[AddResult]
MOST = 500  # requests in one transaction


class Recorder:
    """store: opened at the first use, in the thread. learn: called in another thread, with the events that are new."""

    def __init__(self, url: str, learn: Callable[[Sequence[Event]], None], log: Callable[[str], None]) -> None:
        self.url, self.learn, self.log = url, learn, log
        self.waiting: queue.SimpleQueue[tuple[Sequence[Event], Sequence[ShownSample], Future[Results]] | None] = (
            queue.SimpleQueue()
        )
        self.stored: queue.SimpleQueue[list[Event] | None] = queue.SimpleQueue()
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
        self.waiting.put((events, shown, future))
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
            together = [self.waiting.get()]
            while len(together) < MOST and not self.waiting.empty():
                together.append(self.waiting.get())
            requests = [one for one in together if one is not None]
            ended = len(requests) < len(together)
            if not requests:
                continue
            try:
                store = store or EventStore.open(self.url)
                self.write(store, requests)
            except Exception as error:  # each who waits gets it; the next ones may have more luck
                for _, _, future in requests:
                    if not future.done():
                        future.set_exception(error if isinstance(error, GenloopError) else GenloopError(str(error)))
        if store:
            store.close()

    def write(
        self, store: EventStore, requests: Sequence[tuple[Sequence[Event], Sequence[ShownSample], Future[Results]]]
    ) -> None:
        events = [event for some, _, _ in requests for event in some]
        if samples := [one for _, some, _ in requests for one in some]:
            store.add_samples(samples)
        results = store.add(events) if events else []
        new = [event for event, result in zip(events, results, strict=True) if result is AddResult.STORED]
        with self.learned:
            for event in new:
                self.pending[event.rater] = self.pending.get(event.rater, 0) + 1
        place = 0
        for some, _, future in requests:
            future.set_result(results[place : place + len(some)])
            place += len(some)
        if new:
            self.stored.put(new)

    def learn_all(self) -> None:
        while (new := self.stored.get()) is not None:
            while not self.stored.empty():
                more = self.stored.get()
                if more is None:
                    self.stored.put(None)
                    break
                new += more
            try:
                self.learn(new)
            except Exception as error:  # learned anew when the studio starts again: nothing is lost
                self.log(f"{len(new)} events are stored, but the studio could not learn from them: {error}")
            with self.learned:
                for event in new:
                    left = self.pending.get(event.rater, 0) - 1
                    if left > 0:
                        self.pending[event.rater] = left
                    else:
                        self.pending.pop(event.rater, None)
                self.learned.notify_all()
