"""curate: data/feedback + data/clean -> data/curated. Events become rows and changes; what is rejected has a reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipelines.core import files, reports, shards
from pipelines.core.images import Limits
from pipelines.core.project import Project
from pipelines.curation import (
    candidates,
    checks,
    credibility,
    events,
    existing_rows,
    flagged,
    images,
    label_corrections,
    outcome,
    page,
    quotas,
    upload_labels,
    writing,
)
from pipelines.curation.existing_rows import ExistingRows
from pipelines.curation.images import MeasuredImages
from pipelines.curation.outcome import CurationOutcome
from pipelines.feedback.events import Event, Label, Report
from pipelines.feedback.sealed import manifest
from pipelines.settings.schema import Params
from pipelines.stage import main


def run(project: Project, params: Params) -> None:
    batches = manifest.check(project.feedback, project.manifest).batches
    sealed = events.read(project.feedback, batches, shards.classes(project.clean))
    measured = images.read(project.feedback, batches, Limits(**params.ingest.model_dump()), params.form)
    mentioned = {event.row for event in sealed if isinstance(event, Label | Report) and event.row}
    existing = existing_rows.read(project.clean, mentioned | {image.row_id for image in measured.values()})
    curated = curate(sealed, measured, existing, project.facts / "facts.parquet", params)
    with files.replacement(project.curated) as folder:
        writing.write(folder, curated, batches)
    with files.replacement(project.quarantine / "feedback") as folder:
        writing.quarantine(folder, project.feedback, batches, curated.candidates, params.ingest.max_bytes)
    raters, figures = outcome.rater_table(curated), outcome.figures(curated)
    files.write(project.reports / "raters.csv", outcome.as_csv(raters))
    files.write(project.reports / "feedback.html", page.render(curated, figures, raters, params.feedback.experts))
    reports.write(project.reports, "feedback", figures)
    summarise(figures)
    if count := sum(rejection.reason == events.TWO_MODELS for rejection in curated.rejections):
        print(
            f"curate: {count:,} events rejected: {events.TWO_MODELS}, so nobody knows which image they are about; people whose "
            "folds are merged must share a registry (docs/teams.md)"
        )


def curate(
    sealed: list[Event], measured: MeasuredImages, existing: ExistingRows, facts_file: Path, params: Params
) -> CurationOutcome:
    """Who is credible; then which rows go, which images become rows, and which labels are corrected."""
    settings = params.feedback
    share, experts = settings.max_rater_share, settings.experts
    credible = credibility.assess(sealed, measured, experts, share)
    flags = flagged.judge(sealed, measured, existing, credible, experts, share)

    uploads = candidates.upload_candidates(sealed, measured)
    uploads = upload_labels.judge(uploads, existing.classes, credible, params.clean)
    liked = candidates.liked_samples(credible, measured, existing.classes, settings.min_liked)
    checked = checks.check([*uploads, *liked], existing, facts_file, flags, params)
    rater_rows = share * existing.train.total()

    uploads = quotas.fill(checked[: len(uploads)], rater_rows)
    corrections = label_corrections.judge(sealed, existing, uploads, flags, credible)
    uploads = label_corrections.apply(corrections, uploads)
    train = label_corrections.count(existing, flags.removed, corrections)
    class_quotas = quotas.generated_quotas(train, settings.max_generated_share)
    liked = quotas.fill(checked[len(uploads) :], rater_rows, class_quotas)
    return CurationOutcome(
        events=sealed,
        images=measured,
        existing=existing,
        credibility=credible,
        flagged=flags,
        corrections=corrections,
        candidates=[*uploads, *liked],
        train=train,
        quotas=class_quotas,
    )


def summarise(figures: dict[str, Any]) -> None:
    if not figures["events"]:
        print("curate: no feedback yet")
        return
    print(
        f"curate: {figures['events']:,} events of {figures['raters']:,} raters, "
        f"{figures['votes_set_aside']:,} of {figures['votes']:,} votes rejected"
    )
    print(
        f"curate: {figures['rows_generated']:,} generated images and {figures['rows_uploaded']:,} uploads become rows, "
        f"{figures['labels_corrected']:,} labels corrected, {figures['rows_removed']:,} rows removed"
    )
    for reason, count in figures["refused"].items():
        print(f"curate: {count:,} images rejected: {reason}")


if __name__ == "__main__":
    main(run)
