"""Simulated raters: their names and kinds, what they vote on, how, and what else they send. All of it follows from the seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

import numpy as np

from pipelines.core import png
from pipelines.core.images import Limits
from pipelines.core.project import Project
from pipelines.feedback.events import Event, Report, Sample, Upload, Vote
from pipelines.feedback.sealed import uploads
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from pipelines.simulation import samples
from pipelines.simulation.judge import Judge
from pipelines.simulation.settings import Simulation

Kind = Literal["honest", "spammer", "attacker"]
KINDS = get_args(Kind)
BEGIN = datetime(2020, 1, 6, tzinfo=UTC)  # the first turn's first day; long past, so that no clock finds it in the future
DAYS = 7  # of a turn
HOURS = (8.0, 21.0)  # of the day, in which people begin
SESSIONS = 3  # most on which one rater's votes of a turn are spread, on different days
VIEWING_TIMES = (2.0, 6.0)  # seconds that a person looks at an image
BURST_PAUSES = (0.5, 2.0)  # seconds between the votes of a burst


def record(project: Project, params: Params, registry: Registry, settings: Simulation, turn: int, judge: Judge) -> None:
    """Votes on new images of the champion, reports of some of them, and uploads."""
    generated = samples.generate(registry, settings, turn, settings.samples)
    shown, liked = generated.samples(), judge.likes(generated.images, generated.labels)
    images = list(upload_images(settings, turn, judge))
    limits = Limits(**params.ingest.model_dump())
    digests = [uploads.keep(project.uploads, image, limits) for image, _ in images]
    with EventStore.open(project.database_url) as store:
        store.add_samples(map(ShownSample, shown))
        store.add(vote(settings, turn, shown, liked))
        store.add(report(settings, turn, shown, liked))
        store.add(upload(settings, turn, digests, [label for _, label in images]))


def crowd(settings: Simulation) -> list[str]:
    """The names of the same raters in every turn, by their kinds."""

    def number(share: float) -> int:
        return max(1, round(share * settings.raters)) if share else 0

    attackers, spammers = number(settings.attackers), number(settings.spammers)
    counts: dict[Kind, int] = {"honest": settings.raters - attackers - spammers, "spammer": spammers, "attacker": attackers}
    width = len(str(settings.raters))
    return [f"{kind}-{place:0{width}d}" for kind, count in counts.items() for place in range(1, count + 1)]


def kind_of(name: str) -> Kind:
    """The kind of a rater of `crowd`."""
    return name.partition("-")[0]  # type: ignore[return-value]


def vote(settings: Simulation, turn: int, samples: Sequence[Sample], liked: np.ndarray) -> list[Event]:
    """The votes of the crowd. A sample's votes come from different raters, and all raters have about as many votes.

    liked: (n,) bool, the samples that the taste likes.
    """
    random = np.random.default_rng([settings.seed, turn, 0])
    raters = crowd(settings)
    truth = random.permutation(liked) if settings.shuffled else liked
    sample_of, rater_of = assign_raters(random, len(samples), len(raters), settings.votes)
    votes: list[Event] = []
    for number, rater in enumerate(raters):
        own = random.permutation(sample_of[rater_of == number])
        likes = opinions(random, kind_of(rater), truth[own], settings.noise)
        at = sessions(random, turn, len(own), in_burst=kind_of(rater) == "attacker")
        own_votes = zip(own, np.where(likes, 1, -1).tolist(), at, strict=True)
        votes += [
            Vote(**common_fields(turn, "vote", place, rater, time), sample=samples[index], value=value)
            for place, (index, value, time) in enumerate(own_votes, len(votes))
        ]
    return votes


def opinions(random: np.random.Generator, kind: Kind, truth: np.ndarray, noise: float) -> np.ndarray:
    """(n,) bool: whether a rater of this kind likes samples that the taste likes or not, (n,) bool."""
    if kind == "spammer":
        return random.random(len(truth)) < 0.5
    if kind == "attacker":
        return ~truth
    return truth ^ (random.random(len(truth)) < noise)


def assign_raters(random: np.random.Generator, samples: int, raters: int, votes: int) -> tuple[np.ndarray, np.ndarray]:
    """(votes,) int each, sample and rater of every vote; raters with the fewest votes so far come next."""
    votes_of = np.zeros(raters, np.int64)
    dealt = []
    for sample, number in enumerate(np.diff(np.linspace(0, votes, samples + 1).astype(int))):
        order = random.permutation(raters)
        chosen = order[np.argsort(votes_of[order], kind="stable")[:number]]
        votes_of[chosen] += 1
        dealt.append((np.full(number, sample), chosen))
    samples_of, raters_of = zip(*dealt, strict=True)
    return np.concatenate(samples_of), np.concatenate(raters_of)


def report(settings: Simulation, turn: int, samples: Sequence[Sample], liked: np.ndarray) -> list[Event]:
    """Some of the samples that the taste dislikes, each reported by an honest rater."""
    random = np.random.default_rng([settings.seed, turn, 1])
    disliked = random.permutation(np.flatnonzero(~liked))[: settings.reports]
    common = fields_of_honest_raters(settings, turn, "report", random, len(disliked))
    return [Report(**fields, sample=samples[index]) for index, fields in zip(disliked, common, strict=True)]


def upload(settings: Simulation, turn: int, images: Sequence[str], labels: Sequence[int | None]) -> list[Event]:
    """Uploads of images, by their sha256, by honest raters."""
    random = np.random.default_rng([settings.seed, turn, 2])
    common = fields_of_honest_raters(settings, turn, "upload", random, len(images))
    uploads = zip(images, labels, common, strict=True)
    return [Upload(**fields, image=image, label=label) for image, label, fields in uploads]


def fields_of_honest_raters(
    settings: Simulation, turn: int, kind: str, random: np.random.Generator, count: int
) -> list[dict[str, Any]]:
    """The common fields of events of one type, each by the next honest rater."""
    honest = [rater for rater in crowd(settings) if kind_of(rater) == "honest"]
    timestamps = enumerate(sessions(random, turn, count))
    return [common_fields(turn, kind, place, honest[place % len(honest)], at) for place, at in timestamps]


def common_fields(turn: int, kind: str, place: int, rater: str, at: datetime) -> dict[str, Any]:
    """The fields that all events have; no two events of a simulation have the same id."""
    return {"id": f"simulated-{turn}-{kind}-{place}", "type": kind, "rater": rater, "at": at}


def sessions(random: np.random.Generator, turn: int, number: int, in_burst: bool = False) -> list[datetime]:
    """`number` timestamps of the turn, in order: on several days, or in one burst."""
    count = 1 if in_burst else int(random.integers(1, SESSIONS + 1))
    days = np.sort(random.choice(DAYS, count, replace=False))
    timestamps: list[datetime] = []
    for day, part in zip(days, np.array_split(np.arange(number), count), strict=True):
        start = BEGIN + timedelta(days=DAYS * turn + int(day), hours=random.uniform(*HOURS))
        seconds = np.cumsum(random.uniform(*(BURST_PAUSES if in_burst else VIEWING_TIMES), len(part)))
        timestamps += [start + timedelta(seconds=round(second, 3)) for second in seconds]
    return timestamps


def upload_images(settings: Simulation, turn: int, judge: Judge) -> Iterator[tuple[bytes, int | None]]:
    """PNG and label of real training rows that the taste likes, moved by a pixel: people upload what they like."""
    real, random = judge.real, np.random.default_rng([settings.seed, turn, 3])
    rows = random.permutation(len(real.images))[: 20 * settings.uploads]
    if real.classes:
        rows = rows[real.labels[rows] >= 0]
    if len(rows):
        rows = rows[judge.likes(real.images[rows], real.labels[rows])]
    for row in rows[: settings.uploads]:
        pixels = (1, -1)[int(random.integers(2))]
        moved = np.roll(real.images[row], pixels, axis=int(random.integers(2)))
        yield png.encode(moved), int(real.labels[row]) if real.classes else None
