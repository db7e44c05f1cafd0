"""The thread that generates: whatever is asked for while it is busy, by whomever, it generates together afterwards.

A network takes as long for one image as for a batch of 64 (`DRAW_BATCH` of pipelines/models/base.py), and an image does not
depend on those that are generated with it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipelines.core.errors import GenloopError

MOST = 256  # images at once
GATHER = 0.001  # seconds that a batch waits for one more request: those of a page come one right after the other


class NotReadyError(GenloopError):
    """Raised where no picture can be made now: there is no champion yet, or it is being loaded, or the studio ends."""


@dataclass(frozen=True)
class Request:
    """seeds: (n,) int64. labels: (n,) int32 or None. prompts: n in their place, or None.

    images: will be (n, size, size, channels) uint8.
    """

    sampler: Any
    seeds: np.ndarray
    labels: np.ndarray | None
    prompts: list[str] | None
    images: Future[np.ndarray]


class Batcher:
    """before: is told of each sampler that is about to be asked, which may start a process of its own."""

    def __init__(self, before: Callable[[Any], None] = lambda sampler: None) -> None:
        self.before = before
        self.requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self.closed = False
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run, name="batcher", daemon=True)
        self.thread.start()

    def submit(
        self, sampler: Any, seeds: np.ndarray, labels: np.ndarray | None, prompts: Sequence[str] | None = None
    ) -> Future[np.ndarray]:
        """The images will be in the future, or NotReadyError after the end."""
        request = Request(sampler, seeds, labels, None if prompts is None else list(prompts), Future())
        with self.lock:  # whatever comes after the last entry of the queue would be waited for for ever
            if self.closed:
                request.images.set_exception(NotReadyError("the studio ends; it is started again in a moment"))
            else:
                self.requests.put(request)
        return request.images

    def close(self) -> None:
        """Generate what is asked for already, and nothing more."""
        with self.lock:
            self.closed = True
            self.requests.put(None)
        self.thread.join()

    def run(self) -> None:
        while (request := self.requests.get()) is not None:
            together, count = [request], len(request.seeds)
            with contextlib.suppress(queue.Empty):
                while count < MOST:
                    following = self.requests.get(timeout=GATHER)
                    if following is None:
                        self.requests.put(None)
                        break
                    together.append(following)
                    count += len(following.seeds)
            self.generate(together)

    def generate(self, together: list[Request]) -> None:
        groups: dict[tuple[int, bool, bool], list[Request]] = {}  # a call has either labels, or prompts, or none
        for request in together:
            if not request.images.set_running_or_notify_cancel():  # who asked has gone away
                continue
            kind = id(request.sampler), request.labels is None, request.prompts is None
            groups.setdefault(kind, []).append(request)
        for group in groups.values():
            try:
                self.before(group[0].sampler)
                seeds = np.concatenate([one.seeds for one in group])
                images = draw_together(group, seeds)
            except Exception as error:  # of the version's own code; who asked gets it
                for one in group:
                    one.images.set_exception(error)
                continue
            place = 0
            for one in group:
                one.images.set_result(images[place : place + len(one.seeds)])
                place += len(one.seeds)


def draw_together(group: Sequence[Request], seeds: np.ndarray) -> np.ndarray:
    """The images of requests of one kind, whose seeds are all of `seeds`."""
    sampler = group[0].sampler
    if group[0].prompts is not None:
        images: np.ndarray = sampler.draw_prompts(seeds, [prompt for one in group for prompt in one.prompts or ()])
        return images
    labels = [one.labels for one in group if one.labels is not None]
    images = sampler.draw(seeds, np.concatenate(labels) if labels else None)
    return images


class BatchedSampler:
    """A version's sampler, whose images the batcher generates."""

    def __init__(self, sampler: Any, batcher: Batcher) -> None:
        self.sampler, self.batcher = sampler, batcher
        self.version, self.classes, self.conditional = sampler.version, sampler.classes, sampler.conditional
        self.accepts_prompts: bool = sampler.accepts_prompts

    def submit(self, seeds: np.ndarray, labels: np.ndarray | None, prompts: Sequence[str] | None = None) -> Future[np.ndarray]:
        return self.batcher.submit(self.sampler, seeds, labels, prompts)

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return self.submit(seeds, labels).result()

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        return self.submit(seeds, None, prompts).result()

    @property
    def walks(self) -> bool:
        self.batcher.before(self.sampler)
        return bool(self.sampler.walks)

    def close(self) -> None:
        """Let the version's process go, where it has one. What is asked for later starts another one, until nobody has the
        sampler any more."""
        self.sampler.close()

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        self.batcher.before(self.sampler)
        images: np.ndarray = self.sampler.walk(seeds, others, at, labels)
        return images
