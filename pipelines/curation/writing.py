"""data/curated and the quarantine of what people sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.core import shards
from pipelines.curation.candidates import Candidate
from pipelines.curation.credibility import place
from pipelines.curation.outcome import Outcome
from pipelines.feedback import curated
from pipelines.feedback.events import Event, Sample
from pipelines.feedback.sealed import event_images


def write(folder: Path, found: Outcome, batches: list[str]) -> None:
    """Rows, the five tables, and what they are made of, into an empty folder."""
    with shards.Writer(folder, classes=found.there.classes) as writer:
        for candidate in found.rows:
            writer.add(candidate.row())
    for name, columns in tables(found).items():
        curated.write_table(folder, name, columns)
    curated.write_about(folder, curated.About(sorted(batches), len(found.said.events), found.generation))


def tables(found: Outcome) -> dict[str, dict[str, Sequence[Any]]]:
    """Columns of each table; see curated.SCHEMAS."""
    samples = sorted(found.samples, key=place)
    number = {sample: row for row, sample in enumerate(samples)}
    looks = [found.looks.samples[sample] for sample in samples]
    votes, choices = found.belief.votes, found.belief.choices
    changes = changes_of(found)
    pictures_of = pictures_of_reported(found)
    return {
        "samples": {
            "version": [sample.version for sample in samples],
            "seed": [sample.seed for sample in samples],
            "label": [sample.label for sample in samples],
            "generation": [look.generation for look in looks],
            "image": [look.image for look in looks],
            "liked": [found.samples[sample] for sample in samples],
        },
        "votes": {
            "sample": [number[vote.sample] for vote, _ in votes],
            "value": [vote.value for vote, _ in votes],
            "weight": [weight for _, weight in votes],
            "event": [vote.id for vote, _ in votes],
        },
        "choices": {
            "winner": [number[choice.winner] for choice, _ in choices],
            "loser": [number[choice.loser] for choice, _ in choices],
            "weight": [weight for _, weight in choices],
            "event": [choice.id for choice, _ in choices],
        },
        "changes": {name: [change[name] for change in changes] for name in curated.SCHEMAS["changes"].names},
        "reported": {
            "row_id": list(pictures_of),
            "image": list(pictures_of.values()),
            "wide": [row_id in found.reported.wide for row_id in pictures_of],
            "events": [ids(found.reported.rows[row_id]) for row_id in pictures_of],
        },
    }


def changes_of(found: Outcome) -> list[dict[str, Any]]:
    """Of rows of the data, sorted by row_id."""
    reports = found.reported.rows
    removed: list[dict[str, Any]] = [
        {"row_id": row_id, "label": None, "removed": True, "events": ids(reports[row_id])} for row_id in found.reported.removed
    ]
    corrected: list[dict[str, Any]] = [
        {"row_id": row_id, "label": correction.label, "removed": False, "events": ids(correction.events)}
        for row_id, correction in found.corrected.items()
        if row_id in found.there.rows
    ]
    return sorted([*removed, *corrected], key=lambda change: change["row_id"])


def pictures_of_reported(found: Outcome) -> Mapping[str, bytes]:
    """By row_id, sorted."""
    looked = {look.row_id: look.image for look in found.reported.looks}
    rows = found.there.images([row_id for row_id in found.reported.rows if row_id not in looked])
    return dict(sorted({**rows, **looked}.items()))


def quarantine(folder: Path, sealed: Path, batches: list[str], sent: Sequence[Candidate], most_bytes: int) -> None:
    """What was sent and refused, as it came; what is too large to be looked at is too large to be kept."""
    reasons = {candidate.of: candidate.refused for candidate in sent if candidate.refused is not None}
    with shards.Writer(folder, shards.REFUSED) as writer:

        def put(upload: Sample | str, image: bytes | None) -> None:
            writer.add({"image": {"bytes": image, "path": upload}, "source": "feedback", "reason": reasons.pop(upload)})

        for picture in event_images.read(sealed, batches if reasons else ()):
            if picture.upload in reasons and picture.image and len(picture.image) <= most_bytes:
                put(picture.upload, picture.image)
        for upload in list(reasons):
            put(upload, None)


def ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]
