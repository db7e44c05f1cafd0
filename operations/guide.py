"""Guide: generates pictures that people will like, by all that they have judged up to this moment, and learns from each vote.

Nothing is trained: among what a version generates anyway, pictures are shown with a probability that grows with how likely
people like them (pipelines/guidance/acceptance.py). Each has a seed of its own, by which the version generates it again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import TracebackType
from typing import Any

import numpy as np

from operations.generate import (
    TRIES,
    GeneratedImages,
    SampleFilter,
    Selection,
    check_request,
    choose_labels,
    withheld_error,
)
from pipelines.core import backend, images, rows
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.numbers import SEEDS
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.feedback import all_events, curated
from pipelines.feedback.events import Choice, Erase, Event, Report, Sample, Vote
from pipelines.feedback.store.event_store import AddResult, EventStore
from pipelines.feedback.withheld import WithheldFilter
from pipelines.guidance import acceptance, personal
from pipelines.guidance.live_model import MOST, Judgement, LiveModel, identity, samples_of
from pipelines.guidance.preview import Preview
from pipelines.preference.fit import Spread
from pipelines.promotion.gate import BenchmarkSampler, Conditions, Contender
from pipelines.registry.client import Registry, open_registry
from pipelines.registry.versions import NoVersionError
from pipelines.scoring import views
from pipelines.scoring.approval import ApprovalModel
from pipelines.scoring.generated import GeneratedSamples
from pipelines.settings.schema import Params

CANDIDATES = 64  # images that are tried at once, as many as models generate at once
PICTURES = 1024  # that are chosen at once
MOST_AHEAD, AHEAD = 5_000, 2**26  # candidates that are kept until somebody asks for them, and bytes of these
TRIED = 4  # candidates of a picture that are made ahead: most pictures take no more
KEPT = 20_000  # shown samples whose views are kept for the votes that may come
THUMBNAIL = 8  # pixels a side
GUIDANCES = 100  # of people who look at pictures by turns
SPREAD_ROWS = 10_000  # real rows by which the scale of views is known


@dataclass(frozen=True)
class Guidance:
    """How pictures are chosen now.

    model: None where they are not, and `why` says so. temperature: the one that is used, not below the one that was asked for.
    approval_id: of the model. greatest: how likely people like an image of the preview, at most.
    accepted: (n,) float64, how likely each image of the preview is accepted.
    forecast, plain: share of the pictures that people would like, with guidance and without; None of one rater's own taste.
    """

    why: str
    model: ApprovalModel | None = None
    temperature: float = 1.0
    approval_id: str = ""
    greatest: float = 1.0
    accepted: np.ndarray | None = None
    forecast: float | None = None
    plain: float | None = None

    def acceptance(self, approval: np.ndarray) -> np.ndarray:
        return acceptance.acceptance(approval, self.temperature, self.greatest)


class Guide:
    """A version, and what people like. It can be held open for as long as a program runs.

    >>> with Guide.open(project) as guide:
    ...     pictures = guide.generate(12)
    ...     guide.vote(vote)
    ...     guide.generate(12, seed=12)
    """

    def __init__(self, project: Project, params: Params, registry: Registry, version: int | None) -> None:
        self.project, self.params, self.registry = project, params, registry
        self.description = registry.description(version)
        backend.load()
        self.sampler = registry.load(version)
        self.conditions = Conditions.read(project, params, with_steps=False)
        self.in_form = BenchmarkSampler(self.sampler, self.conditions)
        self.filter = SampleFilter(self.sampler, WithheldFilter.read(project, params), all_events.flagged_samples(project))
        self.shown: OrderedDict[Sample, tuple[np.ndarray, np.ndarray]] = OrderedDict()
        self.load_version: Callable[[int | None], Any] = registry.load  # of samples that another version has generated
        self.log: Callable[[str], None] = lambda line: None
        self.warned: set[int] = set()  # versions that do not generate any more, which is said once
        self.shown_lock = threading.Lock()  # one thread may learn while another generates
        self.ahead: OrderedDict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = OrderedDict()  # see `prepare`
        self.guidances: OrderedDict[tuple[str, str | None, int, float], Guidance] = OrderedDict()  # the latest ones
        self.tastes: OrderedDict[str, personal.PersonalFit] = OrderedDict()  # by rater, those who asked last

    @classmethod
    def open(
        cls,
        project: Project,
        params: Params | None = None,
        registry: Registry | None = None,
        version: int | None = None,
        log: Callable[[str], None] = lambda line: None,
        before: Guide | None = None,
    ) -> Guide:
        """Learn from the newest judgements so far, also those that no fold has sealed.

        Args:
            version: by default the champion.
            log: gets a line about what takes time, and about versions that do not generate any more.
            before: of another version; what it has seen of judged samples is not generated again.

        Raises:
            InputError: there is no such version, or no benchmark, which the first run makes.
            GenloopError: the registry or the database does not answer.
        """
        if params is None or registry is None:
            params, registry = open_registry(project)
        guide = cls(project, params, registry, version)
        guide.log = log
        try:
            guide.learn_all(before)
        except BaseException:
            guide.close()
            raise
        return guide

    @cached_property
    def store(self) -> EventStore:
        """Opened at the first vote: a project that can only be read generates all the same."""
        return EventStore.open(self.project.database_url)

    def close(self) -> None:
        self.sampler.close()
        if "store" in vars(self):
            self.store.close()

    def __enter__(self) -> Guide:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def version(self) -> int:
        return int(self.sampler.version)

    def learn_all(self, before: Guide | None = None) -> None:
        """Everything that does not change at a vote, and the judgements so far."""
        pinned, feedback = self.conditions.pinned, self.params.feedback
        real = rows.load(self.project.clean, "train", origin="real")
        some = np.sort(np.random.default_rng(0).permutation(len(real.images))[:SPREAD_ROWS])
        of_real, thumbnails = self.views_of(real.images[some], real.labels[some]), thumbnails_of(real.images[some])
        prior = views.prior(of_real, pinned.holdout.vectors.shape[1], real.images.shape[3])
        spreads = Spread.of(of_real, prior), Spread.of(thumbnails)
        self.live = LiveModel(*spreads, pinned.id, feedback.experts, feedback.max_rater_share)
        number = self.registry.version(self.version)
        self.preview = self.make_preview(Contender(self.params, self.registry, number, self.conditions, self.log).samples)
        judged = [event for kind in ("vote", "choice") for event in all_events.read(self.project, kind, MOST)]
        samples = {sample for event in judged if isinstance(event, Vote | Choice) for sample in samples_of(event)}
        if before is not None and before.conditions.pinned.id == pinned.id:
            self.live.seen = dict(before.live.seen)
            self.shown = before.shown.copy()
        self.recall_curated({sample for sample in samples if not self.live.knows(sample)})
        self.recall(sorted((sample for sample in samples if not self.live.knows(sample)), key=lambda sample: sample.key))
        self.live.add(judged)

    def make_preview(self, kept: GeneratedSamples) -> Preview:
        """Of the samples of which small pictures are kept; every version has some since `told_apart` goes by them."""
        pinned = self.conditions.pinned
        if kept.pixels is None or kept.pixel_rows is None:
            raise InputError(
                f"version {self.version} was made before versions kept small pictures of their samples; train a new one "
                "(`genloop run`)"
            )
        of_all = views.combine(kept.features, kept.summary, kept.labels, pinned.of_classes)
        side, labels = kept.pixels.shape[1], None if kept.labels is None else kept.labels[kept.pixel_rows]
        thumbnails = thumbnails_of(kept.pixels[:, :, :side])  # of large images, the whole and a part lie side by side
        vectors = kept.features.vectors[kept.pixel_rows]
        return Preview(of_all[kept.pixel_rows], thumbnails, labels, vectors, pinned.holdout.vectors)

    def recall_curated(self, samples: set[Sample]) -> None:
        """Learn the views of the samples whose images `curate` has kept."""
        if not self.project.curated.is_dir():
            return
        table = curated.read_table(self.project.curated, "samples")
        names = zip(*(table[name].to_pylist() for name in ("version", "seed", "version_label", "prompt")), strict=True)
        known = [Sample(version=version, seed=seed, label=label, prompt=prompt) for version, seed, label, prompt in names]
        wanted = [place for place, sample in enumerate(known) if sample in samples]
        if wanted:
            labels = table["label"].fill_null(-1).to_numpy()[wanted]
            pictures = rows.stack(
                [images.decode_pixels(table["image"][place].as_py()) for place in wanted], self.project.curated
            )
            self.live.remember(
                [known[place] for place in wanted],
                self.views_of(pictures, labels),
                thumbnails_of(pictures),
            )

    def recall(self, samples: Sequence[Sample]) -> None:
        """Learn the views of samples by generating them again; those that cannot be generated any more are left out."""
        for version in sorted({sample.version for sample in samples}):
            own = [sample for sample in samples if sample.version == version]
            try:
                sampler = self.sampler if version == self.version else self.load_version(version)
                adapted = BenchmarkSampler(sampler, self.conditions)
                self.recall_of(adapted, [sample for sample in own if sample.prompt is None])
                if sampler.accepts_prompts:
                    self.recall_prompts(adapted, [sample for sample in own if sample.prompt is not None])
            except NoVersionError:
                continue
            except GenloopError as error:  # the environment of a sampler may be gone, or the key of an API
                if version not in self.warned:
                    self.warned.add(version)
                    self.log(
                        f"version {version} does not generate any more, and nothing is learned from what people judged of it "
                        f"({error}); if it is gone for good, delete it from the registry"
                    )

    def recall_of(self, adapted: BenchmarkSampler, samples: Sequence[Sample]) -> None:
        """Of samples of one version without prompts."""
        sampler = adapted.sampler
        most = len(sampler.classes) if sampler.conditional else 0
        own = [sample for sample in samples if (sample.label is not None) == sampler.conditional]
        own = [sample for sample in own if sample.label is None or sample.label < most]
        if not own:
            return
        seeds = np.array([sample.seed for sample in own], np.int64)
        labels = np.array([sample.label for sample in own], np.int32) if sampler.conditional else None
        pictures = adapted.in_form(sampler.draw(seeds, labels))
        found = self.views_of(pictures, self.benchmark_labels(adapted, labels))
        self.live.remember(own, found, thumbnails_of(pictures))

    def recall_prompts(self, adapted: BenchmarkSampler, own: Sequence[Sample]) -> None:
        """Of samples of one version, all with prompts."""
        if own:
            seeds = np.array([sample.seed for sample in own], np.int64)
            pictures = adapted.draw_prompts(seeds, [sample.prompt or "" for sample in own])
            self.live.remember(own, self.views_of(pictures, None), thumbnails_of(pictures))

    def benchmark_labels(self, adapted: BenchmarkSampler, labels: np.ndarray | None) -> np.ndarray | None:
        """The labels of a version, (n,) int32, among the benchmark's classes; -1 where it has no such class."""
        if labels is None:
            return None
        places = {own: place for place, own in enumerate(adapted.own.tolist()) if own >= 0}
        return np.array([places.get(label, -1) for label in labels.tolist()], np.int32)

    def views_of(self, pictures: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """(n, v) float32 of images in the benchmark's form; labels: among its classes, None for images of none."""
        features = self.conditions.extractor.extract(pictures)
        return views.compute(features, pictures, labels, self.conditions.pinned.of_classes)

    def guidance(self, rater: str | None = None, temperature: float | None = None) -> Guidance:
        """How pictures are chosen now. rater: by everybody's votes without one."""
        with self.live.lock:
            return self.guidance_now(rater, self.params.studio.temperature if temperature is None else temperature)

    def guidance_now(self, rater: str | None, asked: float) -> Guidance:
        model, why = self.live.model, f"by {len(self.live.events):,} judgements"
        if model is None:
            lacking = f"{self.live.learned.why}; about {self.live.learned.missing:,} more may do"
            return Guidance(f"what people like is not surely known yet: {lacking}")
        own = [] if rater is None else self.live.judgements_of(rater)
        if own:
            why = f"by {len(own):,} judgements of {rater}, and what everybody likes"
        elif rater is not None:
            why = f"{why} of all people, because {rater} has not judged any images"
        key = identity(model), rater if own else None, len(own), asked
        if key not in self.guidances:
            taste = self.taste(rater, own) if rater is not None and own else None
            self.guidances[key] = self.choose_by(model if taste is None else taste.model, asked, why, taste is not None)
            while len(self.guidances) > GUIDANCES:
                self.guidances.popitem(last=False)
        return replace(self.guidances[key], why=why) if self.guidances[key].model else self.guidances[key]

    def taste(self, rater: str, own: Sequence[Judgement]) -> personal.PersonalFit | None:
        fitted = personal.fit(self.live, own, self.tastes.pop(rater, None))
        if fitted is not None:
            self.tastes[rater] = fitted
            while len(self.tastes) > GUIDANCES:
                self.tastes.popitem(last=False)
        return fitted

    def choose_by(self, model: ApprovalModel, asked: float, why: str, personal_taste: bool) -> Guidance:
        """personal_taste: of one rater, whom the opinion of a model of everybody's taste is none about."""
        temperature = self.preview.coolest(model, asked, self.params.studio.min_coverage)
        predicted = self.preview.predicted(model)
        greatest = float(predicted.max())
        accepted = acceptance.acceptance(predicted, temperature, greatest)
        shares = self.preview.shares(accepted)
        forecast, plain = self.preview.liked(model, shares), self.preview.liked(model)
        second = self.live.learned.second
        if not personal_taste and second is not None and self.preview.contradicts(second, shares):
            return Guidance(
                f"{why} one model says that people would like such images more, and a second one, of thumbnails alone, that "
                "they would like them less; more judgements will tell"
            )
        if personal_taste:  # so few judgements tell which images the rater likes more, and not how many of them
            return Guidance(why, model, temperature, identity(model), greatest, accepted)
        return Guidance(why, model, temperature, identity(model), greatest, accepted, forecast, plain)

    def generate(
        self,
        count: int,
        label: str | None = None,
        rater: str | None = None,
        temperature: float | None = None,
        seed: int = 0,
        guided: bool = True,
        prompt: str | None = None,
    ) -> GeneratedImages:
        """`count` pictures that people will like; as the version generates them, where it is not known what they like.

        Args:
            label: a class, by name or index; None for all in turn.
            rater: whose own taste counts; None for everybody's.
            temperature: lower is stricter; by default params.studio.temperature. It is raised where variety would suffer.
            seed: says which pictures are tried, and equal requests give equal pictures while nobody votes.
            guided: False for pictures as the version generates them; only those that were flagged are replaced.
            prompt: what they are asked for by, in place of a class.

        Raises:
            InputError: the version cannot generate that, or there is no such temperature.
            GenloopError: too many pictures in a row are withheld, because people have flagged such pictures.
        """
        check_request(self.description, count, label, prompt)
        if temperature is not None and not temperature > 0:
            raise InputError(f"temperature {temperature}: expected more than 0")
        guidance = self.guidance(rater, temperature) if guided else Guidance("nobody asked for it")
        asked = seed + np.arange(count, dtype=np.int64)
        labels = choose_labels(label, asked, self.sampler.classes, self.sampler.conditional, prompt)
        chosen = []
        with Progress("generate", total=count, unit="images") as progress:
            for start in range(0, count, PICTURES):
                part = slice(start, start + PICTURES)
                chosen.append(Choosing(self, guidance, asked[part], labels[part], prompt).run(progress.advance))
        found = join(chosen)
        selection = self.selection(guidance, found, labels)
        generated = GeneratedImages(
            self.version,
            found.images,
            labels,
            found.seeds,
            found.withheld,
            self.sampler.classes,
            self.sampler.conditional,
            selection,
            prompt,
        )
        self.keep(generated.samples(), zip(found.views, thumbnails_of(self.in_form.in_form(found.images)), strict=True))
        return generated

    def prepare(self, count: int, label: str | None = None, seed: int = 0) -> int:
        """Make the first candidates of `count` pictures before anybody asks for them; how many were new.

        Which of them are shown is decided when somebody does, by what people like then.
        """
        asked = seed + np.arange(count, dtype=np.int64)
        labels = choose_labels(label, asked, self.sampler.classes, self.sampler.conditional)
        seeds = np.concatenate([candidates(one, TRIED) for one in asked.tolist()])
        names = list(zip(seeds.tolist(), np.repeat(labels, TRIED).tolist(), strict=True))
        new = [name for name in names if name not in self.ahead]
        for start in range(0, len(new), CANDIDATES):
            some = new[start : start + CANDIDATES]
            numbers = np.array(some, np.int64)
            made, seen = self.make(numbers[:, 0], numbers[:, 1].astype(np.int32))
            self.ahead.update(zip(some, zip(made, seen, strict=True), strict=True))
            size = made[0].nbytes + seen[0].nbytes
            while len(self.ahead) > max(CANDIDATES, min(MOST_AHEAD, AHEAD // size)):
                self.ahead.popitem(last=False)
        return len(new)

    def make(self, seeds: np.ndarray, labels: np.ndarray, prompt: str | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Images (n, size, size, channels) uint8 and their views (n, v) float32; of a class, none is made twice."""
        if prompt is not None:
            made = self.sampler.draw_prompts(seeds, [prompt] * len(seeds))
            return made, self.views_of(self.in_form.in_form(made), None)
        known = [self.ahead.get(name) for name in zip(seeds.tolist(), labels.tolist(), strict=True)]
        new = [place for place, one in enumerate(known) if one is None]
        if new:
            made = self.sampler.draw(seeds[new], labels[new])
            own = self.benchmark_labels(self.in_form, labels[new] if self.sampler.conditional else None)
            for place, one in zip(new, zip(made, self.views_of(self.in_form.in_form(made), own), strict=True), strict=True):
                known[place] = one
        pictures, seen = zip(*filter(None, known), strict=True)
        return np.stack(pictures), np.stack(seen)

    def like(self, sample: Sample, count: int, seed: int, tries: int = CANDIDATES) -> GeneratedImages:
        """`count` pictures of this version that look like a sample of any version, each with its own seed: of `tries` others of
        the sample's class or prompt, those whose features are nearest. Where this version takes no prompts, of all classes.

        Raises:
            InputError: there is no such version.
            GenloopError: as `generate`.
        """
        seeds = np.random.default_rng([sample.seed, seed]).integers(SEEDS, size=tries)
        prompt = sample.prompt if self.sampler.accepts_prompts else None
        if sample.prompt is None:
            label = sample.label if sample.label is not None and sample.label < max(1, len(self.sampler.classes)) else 0
            labels = np.full(tries, label, np.int32)
        else:
            labels = choose_labels(None, seeds, self.sampler.classes, self.sampler.conditional, prompt)
        made, seen = self.make(seeds, labels, prompt)
        adapted = self.in_form if sample.version == self.version else None
        adapted = adapted or BenchmarkSampler(self.load_version(sample.version), self.conditions)
        wanted = draw_one(adapted, sample)
        extract = self.conditions.extractor.extract
        vectors, centre = (extract(some).vectors.astype(np.float64) for some in (self.in_form.in_form(made), wanted))
        far = ((vectors - centre) ** 2).sum(axis=1)
        far[self.filter.mask(made, seeds, labels, prompt)] = np.inf
        nearest = np.argsort(far, kind="stable")[:count]
        nearest = nearest[np.isfinite(far[nearest])]
        if not len(nearest):
            raise withheld_error(self.sampler, tries, int(labels[0]))
        found = GeneratedImages(
            self.version,
            made[nearest],
            labels[nearest],
            seeds[nearest],
            0,
            self.sampler.classes,
            self.sampler.conditional,
            prompt=prompt,
        )
        self.keep(found.samples(), zip(seen[nearest], thumbnails_of(self.in_form.in_form(found.images)), strict=True))
        return found

    def selection(self, guidance: Guidance, found: Chosen, labels: np.ndarray) -> Selection:
        if guidance.model is None:
            return Selection(guidance.why)
        assert guidance.accepted is not None
        accepted = guidance.acceptance(found.approval)
        own = self.benchmark_labels(self.in_form, labels if self.sampler.conditional else None)
        names = np.full(len(labels), -1) if own is None else own
        weights = np.empty(len(labels))
        for one in np.unique(names):
            mean = self.preview.mean_acceptance(guidance.accepted, int(one))
            weights[names == one] = acceptance.weights(accepted[names == one], mean)
        return Selection(
            guidance.why,
            guidance.approval_id,
            guidance.temperature,
            found.approval,
            found.tries,
            found.guided,
            weights,
            guidance.forecast,
            guidance.plain,
            int(found.given_up.sum()),
        )

    def keep(self, samples: Sequence[Sample], seen: Iterable[tuple[np.ndarray, np.ndarray]]) -> None:
        """Keep the views and the thumbnails of shown samples, so that a vote needs no second look at the picture."""
        with self.shown_lock:
            self.shown.update(zip(samples, seen, strict=True))
            while len(self.shown) > KEPT:
                self.shown.popitem(last=False)

    def vote(self, event: Event) -> AddResult:
        """Store an event, of whatever type, and learn from it. The next pictures go by it."""
        (result,) = self.store.add([event])
        if result is AddResult.STORED:
            self.learn([event])
        return result

    def learn(self, events: Sequence[Event]) -> None:
        """Learn from events that are stored: many at once take hardly longer than one."""
        judged = [event for event in events if isinstance(event, Vote | Choice)]
        new = {sample for event in judged for sample in samples_of(event) if not self.live.knows(sample)}
        with self.shown_lock:
            kept = {sample: self.shown[sample] for sample in new if sample in self.shown}
        for sample, (seen, thumbnail) in kept.items():
            self.live.remember([sample], seen[None], thumbnail[None])
        self.recall(sorted(new - kept.keys(), key=lambda sample: sample.key))
        self.live.add(judged)
        for event in events:
            if isinstance(event, Report) and event.sample is not None:
                self.filter.flagged.add(event.sample)
            elif isinstance(event, Erase):
                self.live.forget(event.rater)


def draw_one(adapted: BenchmarkSampler, sample: Sample) -> np.ndarray:
    """(1, size, size, channels) uint8, a sample in the benchmark's form."""
    seed = np.array([sample.seed], np.int64)
    if sample.prompt is not None:
        return adapted.draw_prompts(seed, [sample.prompt])
    given = None if sample.label is None else np.array([sample.label], np.int32)
    return adapted.in_form(adapted.sampler.draw(seed, given))


def thumbnails_of(pictures: np.ndarray) -> np.ndarray:
    """(n, t) float32, 0..1, from (n, size, size, channels) uint8."""
    return (views.cell_means(pictures, THUMBNAIL).reshape(len(pictures), -1) / 255).astype(np.float32)


@dataclass(frozen=True)
class Chosen:
    """n pictures that were chosen.

    images: (n, size, size, channels) uint8. seeds: (n,) int64. views: (n, v) float32. approval: (n,) float64. tries: (n,) int.
    guided: (n,) bool. given_up: (n,) bool, whether as many as may be were tried, and the best of them was taken.
    withheld: how many others were not shown.
    """

    images: np.ndarray
    seeds: np.ndarray
    views: np.ndarray
    approval: np.ndarray
    tries: np.ndarray
    guided: np.ndarray
    given_up: np.ndarray
    withheld: int


def join(parts: Sequence[Chosen]) -> Chosen:
    """All as one."""

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return Chosen(
        images=joined("images"),
        seeds=joined("seeds"),
        views=joined("views"),
        approval=joined("approval"),
        tries=joined("tries"),
        guided=joined("guided"),
        given_up=joined("given_up"),
        withheld=sum(part.withheld for part in parts),
    )


class Choosing:
    """Tries candidates for some pictures until each is chosen.

    The candidates of a picture, and what chance says of each, follow from the seed that was asked for: the first is that seed
    itself. So they do not depend on the other pictures.
    """

    def __init__(
        self, guide: Guide, guidance: Guidance, asked: np.ndarray, labels: np.ndarray, prompt: str | None = None
    ) -> None:
        self.guide, self.guidance, self.labels, self.prompt = guide, guidance, labels, prompt
        count, self.most = len(asked), TRIES if guidance.model is None else max(TRIES, guide.params.studio.max_tries)
        self.candidates = np.empty((count, self.most), np.int64)
        self.chance = np.empty((count, self.most))
        self.plain = np.ones(count, bool)
        for place, seed in enumerate(asked.tolist()):
            self.candidates[place] = candidates(seed, self.most)
            random = np.random.default_rng([seed, 1])
            self.plain[place] = random.random() < acceptance.PLAIN
            self.chance[place] = random.random(self.most)
        if guidance.model is None:
            self.plain[:] = True
        self.tries = np.zeros(count, int)
        self.withheld = 0
        self.best: dict[int, tuple[float, np.ndarray, int, np.ndarray]] = {}  # by picture: approval, image, seed, views
        self.done = np.zeros(count, bool)

    def run(self, advance: Callable[[int], None]) -> Chosen:
        allowed = np.where(self.plain, self.most, min(self.most, self.guide.params.studio.max_tries))
        while len(waiting := np.flatnonzero(~self.done & (self.tries < allowed))):
            before = int(self.done.sum())
            self.try_some(waiting, allowed)
            advance(int(self.done.sum()) - before)
        if missing := [place for place in range(len(self.done)) if place not in self.best]:
            raise withheld_error(self.guide.sampler, self.withheld, self.labels[missing[0]])
        advance(int((~self.done).sum()))
        found = [self.best[place] for place in range(len(self.done))]
        approval, pictures, seeds, seen = (list(column) for column in zip(*found, strict=True))
        return Chosen(
            np.stack(pictures),
            np.array(seeds, np.int64),
            np.stack(seen),
            np.array(approval),
            self.tries,
            ~self.plain,
            ~self.done,
            self.withheld,
        )

    def try_some(self, waiting: np.ndarray, allowed: np.ndarray) -> None:
        """Try the next candidates of pictures that wait for one."""
        each = max(1, CANDIDATES // len(waiting))
        pairs = [
            (place, number)
            for place in waiting.tolist()
            for number in range(self.tries[place], min(self.tries[place] + (1 if self.plain[place] else each), allowed[place]))
        ]
        places, numbers = (np.array(column) for column in zip(*pairs, strict=True))
        seeds, labels = self.candidates[places, numbers], self.labels[places]
        made, seen = self.guide.make(seeds, labels, self.prompt)
        hidden = self.guide.filter.mask(made, seeds, labels, self.prompt)
        model = self.guidance.model
        approval = np.full(len(seeds), np.nan) if model is None else model.predict(seen)
        accepted = self.chance[places, numbers] < self.guidance.acceptance(approval)
        for row, place in enumerate(places.tolist()):
            if self.done[place]:
                continue
            self.tries[place] += 1
            if hidden[row]:
                self.withheld += 1
            elif self.plain[place] or accepted[row]:
                self.best[place], self.done[place] = (approval[row], made[row], int(seeds[row]), seen[row]), True
            elif place not in self.best or approval[row] > self.best[place][0]:
                self.best[place] = approval[row], made[row], int(seeds[row]), seen[row]


def candidates(seed: int, count: int) -> np.ndarray:
    """(count,) int64: the seeds that are tried for the picture of a seed, which is the first; the same ones however many."""
    others = np.random.default_rng([seed, 2]).integers(SEEDS, size=count - 1)
    return np.append(np.int64(seed), others)
