"""Pictures that may become rows: what people sent, and what was drawn and is liked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.curation.credibility import Belief, place
from pipelines.curation.images import Look
from pipelines.feedback.events import Event, Sample, Upload


@dataclass
class Candidate:
    """refused: why it becomes no row, as soon as that is known. events: those that speak for it, in their order.

    of: the sample, or the sha256 of the upload. liked: probability that it is right to like it.
    """

    of: Sample | str
    look: Look
    label: int | None
    events: list[Event]
    liked: float = 0.5
    refused: str | None = None

    def __post_init__(self) -> None:
        self.refused = self.refused or self.look.refused

    @property
    def sent(self) -> bool:
        return isinstance(self.of, str)

    def correct(self, label: int, events: Sequence[Event]) -> None:
        self.label, self.events = label, [*self.events, *events]

    def row(self) -> dict[str, Any]:
        """As a shard holds it. A row of feedback is never held out."""
        return {
            "image": {"bytes": self.look.image, "path": None},
            "label": self.label,
            "row_id": self.look.row_id,
            "source": "feedback",
            "origin": "upload" if self.sent else "generated",
            "generation": self.look.generation,
            "weight": 1.0,
            "events": [event.id for event in self.events],
            "split": "train",
        }


def sent(uploads: Sequence[Upload], looks: Mapping[str, Look]) -> list[Candidate]:
    """One for each picture, oldest first, with the first label that anybody gave it."""
    by_image: dict[str, list[Upload]] = {}
    for event in uploads:
        by_image.setdefault(event.image, []).append(event)
    return [
        Candidate(
            image,
            looks.get(image, Look("no picture", 0)),
            next((event.label for event in events if event.label is not None), None),
            list(events),
        )
        for image, events in by_image.items()
    ]


def liked(belief: Belief, looks: Mapping[Sample, Look], least: float) -> list[Candidate]:
    """Samples that are liked with a probability of `least` or more, and by somebody whose vote counts; best first."""
    evidence: dict[Sample, float] = {}
    likes: dict[Sample, list[Event]] = {}
    for vote, weight in belief.votes:
        evidence[vote.sample] = evidence.get(vote.sample, 0.0) + vote.value * weight
        if vote.value > 0:
            likes.setdefault(vote.sample, []).append(vote)
    enough = [sample for sample in likes if belief.liked[sample] >= least]
    enough.sort(key=lambda sample: (-belief.liked[sample], -evidence[sample], place(sample)))
    return [Candidate(sample, looks[sample], sample.label, likes[sample], belief.liked[sample]) for sample in enough]
