"""Raters who do not exist: who they are, what they vote on, and how they vote. All of it follows from the seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pipelines.feedback.events import Event, Report, Sample, Upload, Vote
from pipelines.simulation import timestamps
from pipelines.simulation.settings import Simulation

Kind = Literal["honest", "spammer", "attacker"]


@dataclass(frozen=True)
class Rater:
    name: str
    kind: Kind


def crowd(settings: Simulation) -> list[Rater]:
    """The same raters in every turn; their names tell their kinds, to people who read the reports."""
    attackers = number_of(settings.attackers, settings.raters)
    spammers = number_of(settings.spammers, settings.raters)
    numbers: dict[Kind, int] = {"honest": settings.raters - attackers - spammers, "spammer": spammers, "attacker": attackers}
    width = len(str(settings.raters))
    return [Rater(f"{kind}-{place:0{width}d}", kind) for kind, number in numbers.items() for place in range(1, number + 1)]


def number_of(share: float, raters: int) -> int:
    return max(1, round(share * raters)) if share else 0


def kind_of(name: str) -> Kind:
    """Of a rater of `crowd`."""
    return name.partition("-")[0]  # type: ignore[return-value]


def vote(settings: Simulation, turn: int, drawn: Sequence[Sample], liked: np.ndarray) -> list[Event]:
    """What the crowd says of the samples `drawn`, of which the taste likes `liked`, (n,) bool.

    A sample's votes come from different raters, and all raters have about as many votes.
    """
    random = np.random.default_rng([settings.seed, turn, 0])
    raters = crowd(settings)
    truth = random.permutation(liked) if settings.shuffled else liked
    sample, rater = deal(random, len(drawn), len(raters), settings.votes)
    said: list[Event] = []
    for number, who in enumerate(raters):
        mine = random.permutation(sample[rater == number])
        likes = opinions(random, who.kind, truth[mine], settings.noise)
        at = timestamps.of(random, turn, len(mine), hurried=who.kind == "attacker")
        said += [
            Vote(
                id=name(turn, "vote", len(said) + place), type="vote", rater=who.name, at=when, sample=drawn[which], value=value
            )
            for place, (which, value, when) in enumerate(zip(mine, np.where(likes, 1, -1).tolist(), at, strict=True))
        ]
    return said


def opinions(random: np.random.Generator, kind: Kind, truth: np.ndarray, noise: float) -> np.ndarray:
    """(n,) bool: what a rater of this kind says of samples that the taste likes or not, (n,) bool."""
    if kind == "spammer":
        return random.random(len(truth)) < 0.5
    if kind == "attacker":
        return ~truth
    return truth ^ (random.random(len(truth)) < noise)


def deal(random: np.random.Generator, samples: int, raters: int, votes: int) -> tuple[np.ndarray, np.ndarray]:
    """(votes,) int each, sample and rater of every vote: those who have the fewest votes so far come next."""
    has = np.zeros(raters, np.int64)
    dealt = []
    for sample, number in enumerate(np.diff(np.linspace(0, votes, samples + 1).astype(int))):
        order = random.permutation(raters)
        chosen = order[np.argsort(has[order], kind="stable")[:number]]
        has[chosen] += 1
        dealt.append((np.full(number, sample), chosen))
    samples_of, raters_of = zip(*dealt, strict=True)
    return np.concatenate(samples_of), np.concatenate(raters_of)


def report(settings: Simulation, turn: int, drawn: Sequence[Sample], liked: np.ndarray) -> list[Event]:
    """Some of the samples that the taste dislikes, each reported by an honest rater."""
    random = np.random.default_rng([settings.seed, turn, 1])
    disliked = random.permutation(np.flatnonzero(~liked))[: settings.reports]
    who, at = honest(settings), timestamps.of(random, turn, len(disliked))
    return [
        Report(id=name(turn, "report", place), type="report", rater=who[place % len(who)], at=when, sample=drawn[which])
        for place, (which, when) in enumerate(zip(disliked, at, strict=True))
    ]


def upload(settings: Simulation, turn: int, images: Sequence[str], labels: Sequence[int | None]) -> list[Event]:
    """Images, by their sha256, as sent by honest raters."""
    random = np.random.default_rng([settings.seed, turn, 2])
    who, at = honest(settings), timestamps.of(random, turn, len(images))
    return [
        Upload(id=name(turn, "upload", place), type="upload", rater=who[place % len(who)], at=when, image=image, label=label)
        for place, (image, label, when) in enumerate(zip(images, labels, at, strict=True))
    ]


def honest(settings: Simulation) -> list[str]:
    return [rater.name for rater in crowd(settings) if rater.kind == "honest"]


def name(turn: int, kind: str, place: int) -> str:
    """Of an event; no two in a simulation have the same."""
    return f"simulated-{turn}-{kind}-{place}"
