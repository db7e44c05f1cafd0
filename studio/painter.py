"""The painter: holds the champion ready, takes over another one while pictures are asked for, and makes pictures ahead."""

from __future__ import annotations

import gc
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core import png
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.numbers import SEEDS
from pipelines.core.project import Project
from pipelines.feedback.events import Report, Sample, SampleKey
from pipelines.registry.client import open_registry
from pipelines.registry.versions import CHALLENGER, CHAMPION, NoVersionError
from studio import memory
from studio.batcher import BatchedSampler, Batcher, NotReadyError
from studio.prompts import PromptRules
from studio.recorder import Change

if TYPE_CHECKING:
    from operations.generate import GeneratedImages, SampleFilter
    from operations.guide import Guide

WATCH = 2.0  # seconds between two looks at the alias
AGAIN = 60.0  # seconds after which a version that did not load is tried again
VERSIONS = 8  # others than the champion that are held ready,
PROCESSES = 2  # and of these, those that may have a process of their own, each of up to limits.memory_gb
PICTURES, OVERHEAD = 2**25, 400  # bytes of encoded pictures that are kept, and what each takes beside its own
AHEAD = 2  # grids that are made ahead


class Painter:
    """log: gets a line about what happens."""

    def __init__(self, project: Project, log: Callable[[str], None]) -> None:
        self.project, self.log = project, log
        self.params, self.registry = open_registry(project)
        self.prompts = PromptRules(self.params.studio.prompts)
        self.batcher = Batcher(self.make_room)
        self.guide: Guide | None = None
        self.failure = ""  # why what the registry names is not shown
        self.aliases: dict[str, int] = {}
        self.identity: str | None = None
        self.failed: tuple[str | None, float] | None = None
        self.looking = threading.Lock()
        self.flagged: set[Sample] = set()  # of all versions
        self.learned: list[Change] = []  # while another version is being loaded
        self.loading = threading.Event()
        self.learning = threading.Lock()  # changes reach each guide in the order in which they came
        self.choosing = threading.Lock()  # one grid is chosen at a time
        self.others: OrderedDict[int, tuple[BatchedSampler, SampleFilter]] = OrderedDict()
        self.other_lock = threading.Lock()
        self.recent: list[Any] = []  # samplers of others that were asked last, the latest at the end
        self.recent_lock = threading.Lock()
        self.pictures: OrderedDict[SampleKey, bytes] = OrderedDict()
        self.picture_bytes = 0
        self.picture_lock = threading.Lock()
        self.seeds: dict[str | None, int] = {}  # by class, of the next grid
        self.seed_lock = threading.Lock()
        self.wanted: dict[str | None, int] = {}  # by class, how large the last grid was: so many are made ahead
        self.work = threading.Condition()
        self.stopped = threading.Event()
        self.threads: list[threading.Thread] = []

    def start(self) -> None:
        for target in (self.watch, self.make_ahead):
            self.threads.append(threading.Thread(target=target, name=target.__name__, daemon=True))
            self.threads[-1].start()

    def close(self) -> None:
        self.stopped.set()
        with self.work:
            self.work.notify_all()
        for thread in self.threads:
            thread.join(WATCH + 1)
        self.batcher.close()
        if self.guide:
            self.guide.close()
        for sampler, _ in self.others.values():
            sampler.close()

    # The champion

    def watch(self) -> None:
        while not self.stopped.is_set():
            self.look()
            memory.give_back()
            self.stopped.wait(WATCH)

    def look(self) -> None:
        """Take over the champion, if it is another one. Whatever goes wrong is said, and the old one stays."""
        with self.looking:
            self.look_alone()

    def look_alone(self) -> None:
        try:
            self.aliases = self.registry.aliases()
            number = self.aliases.get(CHAMPION)
            if number is None:
                return
            identity = f"{number}:{self.registry.identity(number)}"
            if self.guide is not None and identity == self.identity:
                self.failure, self.failed = "", None
                return
            if self.failed and self.failed[0] == identity and time.monotonic() - self.failed[1] < AGAIN:
                return
            self.failed = (identity, time.monotonic())
            self.take_over(number, identity)
        except Exception as error:  # of the registry, of the database, of the version's own code
            words = self.project.shorten(str(error))
            if words != self.failure:
                self.log(f"the champion is not shown: {words}")
            self.failure = words

    def take_over(self, number: int, identity: str) -> None:
        """Load a version beside the one that is shown, warm it, and show it."""
        from operations.guide import Guide

        self.log(f"loading version {number}")
        began = time.monotonic()
        self.learned = []
        self.loading.set()
        try:
            guide = Guide.open(self.project, self.params, self.registry, number, self.log, self.guide)
            guide.sampler = BatchedSampler(guide.sampler, self.batcher)
            guide.load_version = self.load
            self.flagged |= guide.filter.flagged
            guide.filter = replace(guide.filter, flagged=self.flagged)
            try:
                guide.prepare(self.params.studio.grid, None, self.seed(None, 0))  # compiles what has to be compiled
            except BaseException:
                guide.close()
                raise
            with self.learning:
                for change in self.learned:  # what came meanwhile; nothing is learned twice
                    apply(guide, change)
                before, self.guide, self.identity = self.guide, guide, identity
                self.loading.clear()
        finally:
            self.loading.clear()
        self.failure, self.failed = "", None
        if before is not None:
            before.close()
            if before.version == number:  # the same number, and another model
                self.forget_pictures(number)
        # What a version brings along stays: to look through it for garbage, again and again, would keep everybody waiting
        # for half a second each time.
        gc.unfreeze()
        gc.collect()
        gc.freeze()
        self.log(f"version {number} is shown after {time.monotonic() - began:.1f} s")
        self.want(None, self.params.studio.grid)

    def ready(self) -> Guide:
        """Raises NotReadyError."""
        if self.guide is None:
            raise NotReadyError(
                f"there is no version to show: {self.failure}" if self.failure else "there is no version to show yet"
            )
        return self.guide

    def require_open(self) -> None:
        """Raises NotReadyError where the studio ends: nobody waits any more for what is asked for."""
        if self.stopped.is_set():
            raise NotReadyError("the studio ends; it is started again in a moment")

    def forget_pictures(self, number: int) -> None:
        with self.picture_lock, self.other_lock:
            dropped = self.others.pop(number, None)
            for key in [key for key in self.pictures if key[0] == number]:
                self.picture_bytes -= len(self.pictures.pop(key)) + OVERHEAD
        if dropped is not None:
            dropped[0].close()

    def learn(self, change: Change) -> None:
        if isinstance(change, list):
            self.flagged |= {event.sample for event in change if isinstance(event, Report) and event.sample is not None}
        with self.learning:
            if self.loading.is_set():
                self.learned.append(change)
            if self.guide is not None:
                apply(self.guide, change)

    # Pictures

    def seed(self, label: str | None, count: int) -> int:
        """The first seed of the next grid of a class; the grid after it begins `count` further on."""
        with self.seed_lock:
            found = self.seeds.get(label)
            if found is None or found + count >= SEEDS - 1000:
                found = secrets.randbelow(SEEDS // 2)
            self.seeds[label] = found + count
            return found

    def grid(
        self,
        count: int,
        label: str | int | None = None,
        rater: str | None = None,
        temperature: float | None = None,
        guided: bool = True,
        seed: int | None = None,
        prompt: str | None = None,
    ) -> GeneratedImages:
        """seed: without one, pictures that were made ahead, if there are some; of a prompt there are none.

        Raises as `Guide.generate` and `PromptRules.accept`, or NotReadyError.
        """
        guide = self.ready()
        prompt = None if prompt is None else self.prompts.accept(prompt)
        name = class_name(guide, label)
        if seed is None:
            seed = self.seed(name, count) if prompt is None else secrets.randbelow(SEEDS // 2)
        with self.choosing:
            self.require_open()
            found = guide.generate(count, name, rater, temperature, seed, guided, prompt)
        self.remember(found)
        if prompt is None:
            self.want(name, count)
        return found

    @property
    def longest_prompt(self) -> int:
        """Characters of the prompts that visitors may write; 0 where they may not, or the version that is shown takes none."""
        settings, guide = self.prompts.settings, self.guide
        return settings.longest if settings.free and guide is not None and guide.sampler.accepts_prompts else 0

    def like(self, sample: Sample, count: int, seed: int) -> GeneratedImages:
        guide = self.ready()
        check_sample(self.sampler(sample.version)[0], sample.key)
        if sample.prompt is not None and self.prompts.accept(sample.prompt) != sample.prompt:
            raise NoVersionError("there is no picture of this prompt; ask for it as it came with its picture")
        with self.choosing:
            self.require_open()
            found = guide.like(sample, count, seed)
        self.remember(found)
        return found

    def remember(self, found: GeneratedImages) -> None:
        """Keep the pictures, which are about to be asked for."""
        for sample, image in zip(found.samples(), found.images, strict=True):
            self.keep(sample.key, png.encode(image))

    def keep(self, key: SampleKey, picture: bytes) -> None:
        with self.picture_lock:
            if key not in self.pictures:
                self.picture_bytes += len(picture) + OVERHEAD
            self.pictures[key] = picture
            while self.picture_bytes > PICTURES:
                self.picture_bytes -= len(self.pictures.popitem(last=False)[1]) + OVERHEAD

    def picture(self, key: SampleKey) -> bytes:
        """The PNG of a sample of any version.

        Raises:
            NoVersionError: there is no such version, or it has no such class, or takes no prompts.
            WithheldError: people have flagged it.
        """
        if (kept := self.kept(key)) is not None:
            return kept
        sampler, samples = self.sampler(key[0])
        return self.finish(key, samples, self.submit(sampler, key).result())

    def kept(self, key: SampleKey) -> bytes | None:
        """The picture, if it is there already. Raises WithheldError."""
        if self.flagged and Sample.of_key(*key) in self.flagged:
            raise WithheldError("this picture was flagged, and is not shown again")
        return self.pictures.get(key)

    def submit(self, sampler: BatchedSampler, key: SampleKey) -> Future[np.ndarray]:
        """Have the image of a sample generated, with others that are waiting. Raises NoVersionError."""
        check_sample(sampler, key)
        _, seed, label, prompt = key
        labels = np.array([label], np.int32) if sampler.conditional and not prompt else None
        return sampler.submit(np.array([seed], np.int64), labels, [prompt] if prompt else None)

    def finish(self, key: SampleKey, samples: SampleFilter, image: np.ndarray) -> bytes:
        """Its PNG, which is kept. Raises WithheldError."""
        if samples.lookalikes.mask(image)[0]:
            raise WithheldError("this picture looks like one that was flagged, and is not shown")
        picture = png.encode(image[0])
        self.keep(key, picture)
        return picture

    def walk(self, version: int, first: int, last: int, label: int, steps: int, step: int) -> bytes:
        """The PNG of a step of the way from one seed's picture to another's. Raises as `picture`, and as `require_walk`."""
        sampler, samples = self.sampler(version)
        require_walk(sampler)
        check_label(sampler, label)
        if not self.flagged.isdisjoint(Sample.of_key(version, seed, label) for seed in (first, last)):
            raise WithheldError("a picture at an end of this way was flagged, and is not shown again")
        labels = np.array([max(label, 0)], np.int32)
        ends = np.array([first], np.int64), np.array([last], np.int64)
        image = sampler.walk(*ends, np.array([step / (steps - 1)], np.float64), labels if sampler.conditional else None)
        if samples.lookalikes.mask(image)[0]:
            raise WithheldError("this picture looks like one that was flagged, and is not shown")
        return png.encode(image[0])

    def load(self, number: int | None) -> BatchedSampler:
        assert number is not None
        return self.sampler(number)[0]

    def sampler(self, version: int) -> tuple[BatchedSampler, SampleFilter]:
        guide = self.guide
        if guide is not None and guide.version == version:
            sampler: Any = guide.sampler
            return sampler, guide.filter
        dropped: list[BatchedSampler] = []
        with self.other_lock:
            if version not in self.others:
                from operations.generate import SampleFilter
                from pipelines.feedback.withheld import WithheldFilter

                if not self.registry.has(version):
                    raise NoVersionError(f"there is no version {version}")
                loaded = self.registry.load(version)
                samples = SampleFilter(loaded, WithheldFilter.read(self.project, self.params), self.flagged)
                self.others[version] = BatchedSampler(loaded, self.batcher), samples
                while len(self.others) > VERSIONS:
                    dropped.append(self.others.popitem(last=False)[1][0])
            self.others.move_to_end(version)
            found = self.others[version]
        for one in dropped:  # outside of the lock: it waits for the call that a process is busy with
            one.close()
        return found

    def make_room(self, sampler: Any) -> None:
        """End the processes of the versions that were not asked for longest, before another one starts one of its own.

        A page may show pictures of all versions. The champion's stays. A version of Keras' families has none to end.
        """
        guide = self.guide
        champion = guide.sampler.sampler if guide is not None else None
        with self.recent_lock:
            others = [one for one in self.recent if one is not sampler] + [sampler]
            others = [one for one in others if one is not champion]
            idle, self.recent = others[:-PROCESSES], others[-PROCESSES:]
        for one in idle:  # outside of the lock: it waits for the call that a process is busy with
            one.close()

    def pair(self) -> tuple[int, int]:
        """The versions that people compare: champion and challenger; the champion twice where there is no other."""
        champion = self.ready().version
        challenger = self.aliases.get(CHALLENGER)
        return champion, champion if challenger is None else challenger

    # Pictures made ahead

    def want(self, label: str | None, count: int) -> None:
        with self.work:
            self.wanted[label] = count
            self.work.notify()

    def make_ahead(self) -> None:
        """Make the candidates of the next grids while nobody waits."""
        while not self.stopped.is_set():
            with self.work:
                self.work.wait_for(lambda: self.wanted or self.stopped.is_set())
                if self.stopped.is_set():
                    return
                label, count = self.wanted.popitem()
            guide = self.guide
            if guide is None:
                continue
            seed = self.seed(label, 0)
            try:
                for number in range(AHEAD):
                    guide.prepare(count, label, seed + number * count)
            except Exception as error:  # nobody waits for it, and who asks for a picture is told
                self.log(f"no pictures could be made ahead: {error}")


def apply(guide: Guide, change: Change) -> None:
    """Learn from new events, or unlearn one that was withdrawn."""
    if isinstance(change, list):
        guide.learn(change)
    else:
        guide.live.withdraw(change)


def class_name(guide: Guide, label: str | int | None) -> str | None:
    """The name of a class that is given by its index, or by its name. Raises InputError where there is none."""
    from operations.generate import class_index

    if label is None or not guide.sampler.conditional:
        return None if label is None else str(label)  # which such a version refuses in its own words
    classes: list[str] = guide.sampler.classes
    if isinstance(label, int) and label >= len(classes):
        raise InputError(f"label {label}: expected an index below {len(classes)}")
    return classes[label if isinstance(label, int) else class_index(label, classes)]


class WithheldError(GenloopError):
    """Raised for a picture that people have flagged."""


def require_walk(sampler: Any) -> None:
    """Raises InputError where the version has no pictures between two others."""
    if not sampler.walks:
        raise InputError(
            f"version {sampler.version} has no pictures between two others, because its sampler has no `walk`; take two "
            "pictures of another version"
        )


def check_sample(sampler: Any, key: SampleKey) -> None:
    """Raises NoVersionError where the version has no such sample."""
    _, _, label, prompt = key
    if not prompt:
        check_label(sampler, label)
    elif not sampler.accepts_prompts:
        raise NoVersionError(f"version {sampler.version} takes no prompts")


def check_label(sampler: Any, label: int) -> None:
    most = len(sampler.classes) if sampler.conditional else 0
    if (label >= 0) != bool(most) or label >= max(most, 1):
        wanted = f"expected one below {most}" if most else "the version has none, so expected `-`"
        raise NoVersionError(f"there is no such class; {wanted}")
