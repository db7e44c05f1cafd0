"""curate: data/feedback + data/clean -> data/curated. What people said as rows and changes; what is refused has a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pipelines.core import files, paths, reports
from pipelines.curation import (
    budget,
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
    rater_table,
    writing,
)
from pipelines.curation.events import Said
from pipelines.curation.images import Looks
from pipelines.curation.outcome import Outcome
from pipelines.curation.quotas import Parts
from pipelines.curation.rejections import Aside
from pipelines.feedback.sealed import manifest
from pipelines.settings.schema import Params
from pipelines.stage import main


def run(params: Params) -> None:
    listed = manifest.check()
    told, seen = events.read(paths.FEEDBACK, listed.batches), images.read(paths.FEEDBACK, listed.batches, params)
    found = curate(told, seen, params)
    with files.replacing(paths.CURATED) as folder:
        writing.write(folder, found, listed.batches)
    with files.replacing(paths.QUARANTINE / "feedback") as folder:
        writing.quarantine(folder, paths.FEEDBACK, listed.batches, found.sent, params.ingest.max_bytes)
    people = rater_table.table(found)
    files.write(paths.REPORTS / "raters.csv", rater_table.as_csv(people))
    figures = outcome.figures(found)
    files.write(paths.REPORTS / "feedback.html", page.render(found, figures, people))
    reports.write("feedback", figures)
    tell(figures)


def curate(told: Said, seen: Looks, params: Params) -> Outcome:
    """Who is believed; then what goes, what comes, and what is corrected."""
    settings, aside = params.feedback, Aside()
    there = existing_rows.read(paths.CLEAN, mentioned(told, seen))
    most = settings.max_rater_share * there.train.total()

    trusted = credibility.judge(told, seen.samples, settings.experts, settings.max_rater_share, aside)
    changes = Parts.of_rows(settings.max_rater_share, there.train)  # of rows that there are, whether they go or are corrected
    away = flagged.judge(told.reports, seen, there, trusted, settings.experts, changes, aside)
    sent = candidates.sent(told.uploads, seen.uploads)
    liked = candidates.liked(trusted, seen.samples, settings.min_liked)
    checks.check([*sent, *liked], there, paths.FACTS / "facts.parquet", away, params)

    budget.share_out(checks.standing(sent), Parts(most))
    uploads = {upload.look.row_id: upload for upload in checks.standing(sent)}
    right = label_corrections.judge(told.labels, there, uploads, away.removed, trusted, changes, aside)
    for row_id in right.keys() & uploads.keys():
        uploads[row_id].correct(right[row_id].label, right[row_id].events)
    train = changed(there, away.removed, right)
    places = budget.places(train, settings.max_generated_share)
    budget.share_out(checks.standing(liked), Parts(most), places)

    for upload in sent:
        if upload.refused:
            aside.add_all(upload.events, upload.refused)
    return Outcome(told, seen, there, trusted, away, sent, liked, right, train, places, aside, settings.experts)


def mentioned(told: Said, seen: Looks) -> set[str]:
    """row_ids that events name, or that pictures have."""
    named = {label.row for label in told.labels} | {report.row for report in told.reports if report.row}
    return named | {look.row_id for look in (*seen.samples.values(), *seen.uploads.values())}


def changed(
    there: existing_rows.Dataset, removed: list[str], right: Mapping[str, label_corrections.Correction]
) -> Counter[int | None]:
    """How many training rows of each label the data then has."""
    train = there.train.copy()
    for row_id in (*removed, *(row_id for row_id in right if row_id in there.rows)):
        train[there.rows[row_id].label] -= 1
    train.update(correction.label for row_id, correction in right.items() if row_id in there.rows)
    return train


def tell(figures: dict[str, Any]) -> None:
    if not figures["events"]:
        print("curate: no feedback yet")
        return
    print(
        f"curate: {figures['events']:,} events of {figures['raters']:,} raters, "
        f"{figures['votes_set_aside']:,} of {figures['votes']:,} votes set aside"
    )
    print(
        f"curate: {figures['rows_generated']:,} drawn and {figures['rows_uploaded']:,} sent pictures become rows, "
        f"{figures['labels_corrected']:,} labels corrected, {figures['rows_removed']:,} rows removed"
    )
    for reason, count in figures["refused"].items():
        print(f"curate: {count:,} pictures refused: {reason}")


if __name__ == "__main__":
    main(run)
