"""What the page and the API both do for somebody: show pictures, take what they say, and know what was said of it."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool

from pipelines.core import timestamps
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.events import Event, Sample, SampleKey, Upload
from pipelines.feedback.sealed import uploads
from pipelines.feedback.store.event_store import AddResult, EventCounts, EventStore
from studio import incoming_events
from studio.authentication import Caller
from studio.incoming_events import Incoming, Rejected
from studio.monitoring import Monitor
from studio.painter import Painter, WithheldError
from studio.problems import Problem, from_error
from studio.recorder import Recorder
from studio.tokens import Tokens

if TYPE_CHECKING:
    from operations.generate import GeneratedImages

FRESH = 1.0  # seconds that counts are shown to everybody
PATIENCE = 2.0  # seconds that pictures wait until what their visitor has said is learned from
T = TypeVar("T")


@dataclass(frozen=True)
class ShownPicture:
    """A sample as somebody sees it. approval: how likely people like it, None where that is not known."""

    sample: Sample
    url: str
    token: str
    guided: bool
    approval: float | None
    class_name: str


@dataclass(frozen=True)
class Shown:
    """guidance: how the pictures were chosen, or why they were not."""

    version: int
    pictures: list[ShownPicture]
    guidance: str


@dataclass(frozen=True)
class Taken:
    """What became of events that were sent, by their places."""

    stored: list[int]
    known: list[int]
    rejected: dict[int, Rejected]


class StudioService:
    def __init__(
        self, project: Project, painter: Painter, recorder: Recorder, tokens: Tokens, incoming: Incoming, monitor: Monitor
    ) -> None:
        self.project, self.painter, self.recorder, self.tokens = project, painter, recorder, tokens
        self.incoming, self.monitor = incoming, monitor
        self.counted: tuple[float, EventCounts | None] = (0.0, None)

    @functools.cached_property
    def store(self) -> EventStore:
        """To read; what is written goes through the recorder."""
        return EventStore.open(self.project.database_url)

    def remove_upload(self, event: Event) -> None:
        """Of an upload that was not stored; its image stays where another event has the same."""
        if isinstance(event, Upload) and event.image not in self.store.images():
            uploads.remove(self.project.uploads, event.image)

    def counts(self) -> EventCounts:
        """Of a moment ago: counting a million events takes a while."""
        at, counts = self.counted
        if counts is None or time.monotonic() - at > FRESH:
            counts = self.store.counts()
            self.counted = (time.monotonic(), counts)
        return counts

    def close(self) -> None:
        if "store" in vars(self):
            self.store.close()

    async def run(self, work: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Work in a thread; its errors as problems."""
        try:
            return await run_in_threadpool(functools.partial(work, *arguments, **named))
        except GenloopError as error:
            raise from_error(error) from None

    async def picture(self, key: SampleKey) -> bytes:
        """As `Painter.picture`; of the version that is shown without a thread that waits. Of a prompt only what was shown."""
        painter, guide = self.painter, self.painter.guide
        try:
            if key[3] and not painter.prompts.allow(key[3]):
                raise WithheldError("this picture was asked for by a prompt that is not allowed here, and is not shown")
            if (kept := painter.kept(key)) is not None:
                return kept
            if key[3]:
                await self.require_shown(Sample.of_key(*key))
            if guide is None or guide.version != key[0]:
                return await run_in_threadpool(painter.picture, key)
            sampler, samples = painter.sampler(key[0])
            image = await asyncio.wrap_future(painter.submit(sampler, key))
            if samples.lookalikes.extractor is None:
                return painter.finish(key, samples, image)
            return await run_in_threadpool(painter.finish, key, samples, image)  # which looks for what it resembles
        except GenloopError as error:
            raise from_error(error) from None

    async def require_shown(self, sample: Sample) -> None:
        """Raises Problem for a sample that nobody was shown: an address of a picture must not generate what anybody writes."""
        if not await self.ask(lambda store: store.shown([sample])):
            raise Problem(404, "no such picture was shown; POST /api/v1/generate makes pictures of a prompt")

    async def show(self, visitor: str, make: Callable[..., GeneratedImages], *arguments: Any, **named: Any) -> Shown:
        """Pictures that `make` generates, as a visitor sees them, who may vote on them from now on."""
        await self.run(self.recorder.wait, visitor, PATIENCE)
        return self.present(visitor, await self.run(make, *arguments, **named))

    def present(self, visitor: str, found: GeneratedImages) -> Shown:
        how = found.shown()
        self.recorder.add([], how)
        for one in how:
            self.monitor.samples.labels(str(one.guided).lower()).inc()
        pictures = [
            ShownPicture(
                one.sample,
                url_of(one.sample),
                self.tokens.sign(visitor, one.sample),
                one.guided,
                one.approval,
                found.classes[label] if found.conditional and found.classes and found.prompt is None else "",
            )
            for one, label in zip(how, found.labels.tolist(), strict=True)
        ]
        return Shown(found.version, pictures, found.selection.why if found.selection else "")

    async def take(self, records: Sequence[Any], caller: Caller) -> Taken:
        """Store the events of these records, as far as they can be."""
        now = timestamps.now()
        rejected: dict[int, Rejected] = {}
        events: dict[int, Event] = {}

        def read_all() -> None:
            for place, record in enumerate(records):
                try:
                    events[place] = self.incoming.read(record, caller, now)
                except Rejected as fault:
                    rejected[place] = fault

        await run_in_threadpool(read_all) if holds_images(records) else read_all()
        try:
            results = await asyncio.wrap_future(self.recorder.add(list(events.values()))) if events else []
        except GenloopError as error:
            raise from_error(error) from None
        by_place = dict(zip(events, results, strict=True))
        stored = [place for place, result in by_place.items() if result is AddResult.STORED]
        known = [place for place, result in by_place.items() if result is AddResult.KNOWN]
        again = [place for place, result in by_place.items() if result is AddResult.CONFLICT]
        if again:
            before = await self.ask(lambda store: store.find([events[place].id for place in again]))
            for place in again:
                first = before.get(events[place].id)
                if first is not None and incoming_events.same(first, events[place]):
                    known.append(place)
                else:
                    rejected[place] = Rejected(409, "an event with this id and other content is stored already")
        for place in [place for place, result in by_place.items() if result is AddResult.FORGOTTEN]:
            rejected[place] = Rejected(403, "this rater has asked to be forgotten")
            await self.run(self.remove_upload, events[place])
        for place in stored:
            self.monitor.events.labels(events[place].type).inc()
        return Taken(stored, sorted(known), rejected)

    async def take_one(self, record: Any, caller: Caller) -> Taken:
        """The same of one. Raises Problem where it is rejected."""
        taken = await self.take([record], caller)
        for fault in taken.rejected.values():
            raise Problem(fault.status, fault.reason)
        return taken

    async def withdraw(self, name: str, rater: str) -> bool:
        """Take back a vote or a choice that no fold has taken, and what was learned from it."""
        try:
            return await asyncio.wrap_future(self.recorder.withdraw(name, rater))
        except GenloopError as error:
            raise from_error(error) from None

    async def ask(self, question: Callable[[EventStore], T]) -> T:
        """What the database says. Nothing of it happens in the thread that answers everybody."""
        return await self.run(lambda: question(self.store))


def holds_images(records: Sequence[Any]) -> bool:
    return any(isinstance(record, dict) and "image" in record for record in records)


def url_of(sample: Sample) -> str:
    label = "-" if sample.label is None else sample.label
    return f"/api/v1/samples/{sample.version}/{sample.seed}/{label}.png{query_of(sample)}"


def page_of(sample: Sample) -> str:
    """The address of the page with its picture."""
    label = "-" if sample.label is None else sample.label
    return f"/picture/{sample.version}/{sample.seed}/{label}{query_of(sample)}"


def query_of(sample: Sample) -> str:
    return "" if sample.prompt is None else f"?prompt={quote(sample.prompt, safe='')}"
