"""Writes data/curated, and the quarantine of uploads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from pipelines.core import shards
from pipelines.curation import present_labels
from pipelines.curation.candidates import RowCandidate
from pipelines.curation.credibility import Credibility
from pipelines.curation.outcome import CurationOutcome
from pipelines.feedback import curated
from pipelines.feedback.events import Event, Sample
from pipelines.feedback.sealed import event_images


def write(folder: Path, outcome: CurationOutcome, batches: list[str]) -> None:
    """Rows, the five tables, and the names of the batches that they are made of, into an empty folder."""
    with shards.ShardWriter(folder, classes=outcome.existing.classes) as writer:
        for candidate in outcome.rows:
            writer.add(candidate.row())
    for name, columns in tables(outcome).items():
        curated.write_table(folder, name, columns)
    curated.write_summary(folder, curated.CuratedSummary(sorted(batches), len(outcome.events), outcome.generation))


def tables(outcome: CurationOutcome) -> dict[str, dict[str, Sequence[Any]]]:
    """Columns of each table; see curated.SCHEMAS."""
    credibility, flagged = outcome.credibility, outcome.flagged
    samples = sorted(credibility.liked, key=attrgetter("key"))
    number = {sample: row for row, sample in enumerate(samples)}
    images = [outcome.images[sample] for sample in samples]
    present, known = present_labels.places(outcome.existing.classes), range(len(outcome.existing.classes))
    labels = [present_labels.of_sample(sample, outcome.images[sample].class_name, present) for sample in samples]
    corrections, existing = outcome.corrections.rows, outcome.existing.rows
    corrected = {row_id: correction for row_id, correction in corrections.items() if row_id in existing}
    changed = sorted([*corrected, *flagged.removed])
    flagged_images = images_of_flagged(outcome)
    return {
        "samples": {
            "version": [sample.version for sample in samples],
            "seed": [sample.seed for sample in samples],
            "label": [label if label in known else None for label in labels],
            "version_label": [sample.label for sample in samples],
            "prompt": [sample.prompt for sample in samples],
            "generation": [image.generation for image in images],
            "image": [image.content for image in images],
            "liked": [credibility.liked[sample] for sample in samples],
        },
        **judgement_columns(credibility, number),
        "changes": {
            "row_id": changed,
            "label": [corrected[row_id].label if row_id in corrected else None for row_id in changed],
            "removed": [row_id not in corrected for row_id in changed],
            "events": [ids((corrected.get(row_id) or flagged.rows[row_id]).events) for row_id in changed],
        },
        "reported": {
            "row_id": list(flagged_images),
            "image": list(flagged_images.values()),
            "wide": [flagged.rows[row_id].wide for row_id in flagged_images],
            "events": [ids(flagged.rows[row_id].events) for row_id in flagged_images],
        },
    }


def judgement_columns(credibility: Credibility, number: Mapping[Sample, int]) -> dict[str, dict[str, Sequence[Any]]]:
    """Columns of the tables `votes` and `choices`. number: of each sample, its row in the table `samples`."""
    votes, choices = credibility.votes, credibility.choices
    return {
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
    }


def images_of_flagged(outcome: CurationOutcome) -> Mapping[str, bytes]:
    """PNG by row_id, sorted."""
    rows = outcome.flagged.rows
    of_events = {row_id: flagged.image.content for row_id, flagged in rows.items() if flagged.image}
    of_data = outcome.existing.images([row_id for row_id in rows if row_id not in of_events])
    return dict(sorted({**of_data, **of_events}.items()))


def quarantine(folder: Path, sealed: Path, batches: list[str], candidates: Sequence[RowCandidate], most_bytes: int) -> None:
    """Rejected uploads, as they came; one that is too large to be decoded is too large to be stored."""
    reasons = {one.origin: one.rejection for one in candidates if one.uploaded and one.rejection is not None}
    with shards.ShardWriter(folder, shards.QUARANTINED) as writer:

        def put(upload: Sample | str, image: bytes | None) -> None:
            writer.add({"image": {"bytes": image, "path": upload}, "source": "feedback", "reason": reasons.pop(upload)})

        for sealed_image in event_images.read(sealed, batches if reasons else ()):
            if sealed_image.upload in reasons and sealed_image.image and len(sealed_image.image) <= most_bytes:
                put(sealed_image.upload, sealed_image.image)
        for upload in list(reasons):
            put(upload, None)


def ids(events: Sequence[Event]) -> list[str]:
    return [event.id for event in events]
