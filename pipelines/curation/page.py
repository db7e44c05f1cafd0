"""The page of the feedback: what people said and what it changed; opens, styled, without a network."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import jinja2
from PIL import Image

from pipelines.core import grids
from pipelines.curation import timeline
from pipelines.curation.candidates import Candidate
from pipelines.curation.credibility import place
from pipelines.curation.images import Look
from pipelines.curation.outcome import Outcome
from pipelines.curation.rater_table import Rater
from pipelines.feedback.events import Sample

TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
SHOWN, SIDE = 18, 96  # pictures of a kind, and their pixels a side at most
NAMED = 200  # raters in the table; raters.csv has them all


@dataclass(frozen=True)
class Shown:
    """A picture as base64 of a PNG, what is said of it below, and when the pointer is over it."""

    picture: str
    says: str
    title: str


@dataclass(frozen=True)
class Group:
    """Pictures of one kind: how many there are, and some of them."""

    name: str
    says: str
    count: int
    shown: list[Shown]


def render(found: Outcome, figures: dict[str, Any], people: list[Rater]) -> str:
    """HTML. A reported picture is not on it."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    environment.filters["words"] = lambda name: name.replace("_", " ")
    first = sorted(people, key=lambda rater: (-rater.events, rater.rater))
    return environment.get_template("feedback.html").render(
        title="Genloop: the feedback",
        figures=figures,
        groups=[group for group in groups(found) if group.count],
        days=timeline.count(found.said.votes),
        classes=classes(found),
        raters=first[:NAMED],
        more=len(first[NAMED:]),
        experts=found.experts,
    )


def groups(found: Outcome) -> Iterator[Group]:
    drawn, sent = ([row for row in found.rows if row.sent == wanted] for wanted in (False, True))
    refused = [one for one in found.refused if one.sent]
    disliked = sorted((liked, place(sample), sample) for sample, liked in found.samples.items() if liked < 0.5)
    yield Group("Liked, and now rows", "drawn by a model; the most liked first", len(drawn), some(found, map(liked_row, drawn)))
    yield Group(
        "Most disliked",
        "evidence against; they become no rows",
        len(disliked),
        some(found, ((found.looks.samples[sample], percent(liked), name(sample)) for liked, _, sample in disliked)),
    )
    yield Group(
        "Sent, and now rows",
        "uploads that passed every check",
        len(sent),
        some(found, ((row.look, class_name(found, row.label), f"row {row.look.row_id}") for row in sent)),
    )
    yield Group(
        "Sent, and refused",
        "the files are in data/quarantine/feedback",
        len(refused),
        some(found, ((one.look, str(one.refused), f"sha256 {one.of}") for one in refused)),
    )
    yield Group("Corrected labels", "rows of the data, and uploads", len(found.corrected), some(found, corrected(found)))


def some(found: Outcome, every: Iterable[tuple[Look, str, str]]) -> list[Shown]:
    """The first of these that can be shown. (picture, caption, title) each."""
    fit = (one for one in every if one[0].refused is None and one[0].row_id not in found.reported.rows)
    return [Shown(encode(look.image), says, title) for look, says, title in islice(fit, SHOWN)]


def liked_row(row: Candidate) -> tuple[Look, str, str]:
    assert isinstance(row.of, Sample)
    return row.look, percent(row.liked), name(row.of)


def corrected(found: Outcome) -> Iterator[tuple[Look, str, str]]:
    """As many as are shown, and only those."""
    chosen = [row_id for row_id in sorted(found.corrected) if row_id in found.there.rows][:SHOWN]
    images = found.there.images(chosen)
    for row_id in chosen:
        labels = found.there.rows[row_id].label, found.corrected[row_id].label
        says = " → ".join(class_name(found, label) for label in labels)
        yield Look(None, 0, images[row_id], row_id), says, f"row {row_id}"


def name(sample: Sample) -> str:
    label = "" if sample.label is None else f", label {sample.label}"
    return f"version {sample.version}, seed {sample.seed}{label}"


def percent(share: float) -> str:
    return f"{share:.0%}"


def class_name(found: Outcome, label: int | None) -> str:
    return "no label" if label is None else found.there.classes[label]


def encode(png: bytes) -> str:
    """Base64 of a PNG, made smaller where it is large."""
    with Image.open(io.BytesIO(png)) as image:
        if max(image.size) > SIDE:
            image.thumbnail((SIDE, SIDE))
            png = grids.png(image)
    return base64.b64encode(png).decode()


@dataclass(frozen=True)
class Class:
    """Training rows of one class. widths: of the three, in percent of the most that a class has."""

    name: str
    real: int
    sent: int
    drawn: int
    places: int
    widths: list[float]


def classes(found: Outcome) -> list[Class]:
    number = Counter((row.label, row.sent) for row in found.rows)
    labels: list[int | None] = [*range(len(found.there.classes)), None]
    counts = {label: (found.train[label], number[label, True], number[label, False]) for label in labels}
    most = max(map(sum, counts.values())) or 1
    return [
        Class(
            class_name(found, label) if found.there.classes else "all rows",
            *counts[label],
            found.places.get(label, 0),
            [round(100 * count / most, 2) for count in counts[label]],
        )
        for label in labels
        if sum(counts[label])
    ]
