"""Images that may become rows: uploads, and generated images that are liked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipelines.curation import present_labels
from pipelines.curation.credibility import Credibility
from pipelines.curation.events import NO_PICTURE, select
from pipelines.curation.images import MeasuredImage, MeasuredImages
from pipelines.feedback.events import Event, Sample, Upload


@dataclass(frozen=True)
class RowCandidate:
    """origin: the sample, or the sha256 of the upload. events: those that support it, by time.

    liked: probability that it is right to like it. rejection: why it becomes no row; None as long as there is no reason.
    """

    origin: Sample | str
    image: MeasuredImage
    label: int | None
    events: Sequence[Event]
    liked: float = 0.5
    rejection: str | None = None

    @property
    def uploaded(self) -> bool:
        return isinstance(self.origin, str)

    def row(self) -> dict[str, Any]:
        """As a shard holds it. A row of feedback is never held out."""
        return {
            "image": {"bytes": self.image.content, "path": None},
            "label": self.label,
            "row_id": self.image.row_id,
            "source": "feedback",
            "origin": "upload" if self.uploaded else "generated",
            "generation": self.image.generation,
            "weight": 1.0,
            "events": [event.id for event in self.events],
            "split": "train",
        }


def accepted(candidates: Sequence[RowCandidate]) -> list[RowCandidate]:
    return [candidate for candidate in candidates if candidate.rejection is None]


def reject(
    candidates: Sequence[RowCandidate], reasons: Callable[[Sequence[RowCandidate]], Iterable[str | None]]
) -> list[RowCandidate]:
    """`reasons` gives a reason, or None, for each of those that are still accepted."""
    found = iter(reasons(accepted(candidates)))
    return [one if one.rejection is not None else replace(one, rejection=next(found)) for one in candidates]


def upload_candidates(events: Sequence[Event], images: MeasuredImages) -> list[RowCandidate]:
    """A candidate for each uploaded image, oldest first; upload_labels.py gives it its label."""
    by_image: dict[str, list[Upload]] = {}
    for event in select(events, Upload):
        by_image.setdefault(event.image, []).append(event)
    candidates = []
    for digest, uploads in by_image.items():
        image = images.get(digest, MeasuredImage(0, NO_PICTURE))
        candidates.append(RowCandidate(digest, image, None, uploads, rejection=image.rejection))
    return candidates


def liked_samples(credibility: Credibility, images: MeasuredImages, classes: Sequence[str], least: float) -> list[RowCandidate]:
    """Samples that are liked with a probability of `least` or more, and by a rater whose vote counts; best first."""
    present = present_labels.places(classes)
    evidence: defaultdict[Sample, float] = defaultdict(float)
    likes: dict[Sample, list[Event]] = {}
    for vote, weight in credibility.votes:
        evidence[vote.sample] += vote.value * weight
        if vote.value > 0:
            likes.setdefault(vote.sample, []).append(vote)
    enough = [sample for sample in likes if credibility.liked[sample] >= least]
    enough.sort(key=lambda sample: (-credibility.liked[sample], -evidence[sample], sample.key))
    labels = [present_labels.of_sample(sample, images[sample].class_name, present) for sample in enough]
    return [
        RowCandidate(sample, images[sample], label, likes[sample], credibility.liked[sample])
        for sample, label in zip(enough, labels, strict=True)
    ]
