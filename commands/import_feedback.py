"""genloop import-feedback: stores the events of a file, and lists the rows that it rejects."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.app import Json, command
from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.feedback.imports.base import AnswerWords
    from pipelines.feedback.imports.load import ImportSummary
    from pipelines.registry.client import Registry

SHOWN = 5  # unknown versions that are named


@command(writes=True)
def import_feedback(
    project: Project,
    file: Annotated[Path, typer.Argument(help="JSON lines, a JSON list, CSV, Parquet, or an export; docs/feedback.md.")],
    form: Annotated[
        str | None, typer.Option("--format", help="jsonl, json, csv, parquet, label-studio or argilla; else by its content.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Time of the events, where the file has none; else when it was saved.")] = None,
    like: Annotated[str | None, typer.Option(help="Answers of an export that are a like, as in good,4,5.")] = None,
    dislike: Annotated[str | None, typer.Option(help="Answers that are a dislike, as in bad,1,2.")] = None,
    as_json: Json = False,
) -> None:
    """Add events from a file; unusable rows are listed beside it."""
    from pipelines.settings.load import load_params

    params = load_params(project.params_file)
    file = file.absolute()

    from pipelines.core.images import Limits
    from pipelines.core.progress import Progress
    from pipelines.feedback.imports.load import ImportOptions, load
    from pipelines.feedback.store.event_store import EventStore

    if form is not None and form not in catalogue.IMPORTS:
        raise InputError(f"--format: {catalogue.unknown_name(form, catalogue.IMPORTS)}")
    limits, words = Limits(**params.ingest.model_dump()), answer_words(project.clean, like, dislike)
    time = default_timestamp(file, at)
    options = ImportOptions(time, limits, project.uploads, words, project.feedback)
    with EventStore.open(project.database_url) as store, Progress("import", total=None, unit="rows") as progress:
        summary = load(file, store, options, form, lambda rows, done: progress.advance(rows, f"{done:.0%}"))

    from pipelines.registry.client import Registry

    registry = Registry.open(project, params.registry)
    notes = [*notes_on_content(summary, time, at is not None), *notes_on_versions(summary.versions, registry)]
    print(json.dumps(record(file, summary, notes), indent=2)) if as_json else show(file, summary, notes)
    if not summary.rows:
        raise InputError(f"{file}: has no rows")
    if not summary.stored and not summary.duplicates:
        raise InputError(f"{file}: none of its {summary.rows:,} rows is usable; {summary.rejects} says why")


def default_timestamp(file: Path, at: str | None) -> datetime:
    """The time of events that have none in the file: the option --at, else when the file was last written."""
    from pydantic_core import PydanticCustomError

    from pipelines.feedback import events

    if at is None:
        return datetime.fromtimestamp(file.stat().st_mtime if file.exists() else 0, UTC)
    try:
        return events.utc_timestamp(at)
    except PydanticCustomError as error:
        raise InputError(f"--at {at}: {error.message()}") from None


def answer_words(clean: Path, like: str | None, dislike: str | None) -> AnswerWords:
    from pipelines.core import shards
    from pipelines.feedback.imports.base import AnswerWords

    found = AnswerWords(classes=shards.classes(clean) if any(clean.glob("part-*.parquet")) else ())
    for key, words in (("like", like), ("dislike", dislike)):
        if words is not None:
            found = replace(found, **{key: tuple(word.strip().lower() for word in words.split(",") if word.strip())})
    both = sorted(set(found.like) & set(found.dislike))
    if both:
        raise InputError(f"--like and --dislike both name {both[0]!r}")
    return found


def notes_on_content(summary: ImportSummary, time: datetime, is_given: bool) -> list[str]:
    """What the file did not tell, and what of it was not read. is_given: whether `time` is that of the option --at."""
    from pipelines.core import timestamps

    notes = []
    if summary.undated:
        source = "as --at says" if is_given else "when it was written (--at names another time)"
        notes.append(
            f"answers without a time in this file: {summary.undated:,}; they count as given on {timestamps.minutes(time)}, "
            f"{source}. What was changed and changed back between two exports is not seen; import exports oldest first"
        )
    if summary.outdated:
        notes.append(f"of these, answers that differ from later ones of their raters, which count: {summary.outdated:,}")
    if summary.not_read:
        parts = ", ".join(f"{name} ({count:,})" for name, count in summary.not_read.items())
        notes.append(f"not read: {parts}; only what people have submitted is an answer")
    return notes


def notes_on_versions(versions: dict[int, int], registry: Registry) -> list[str]:
    """Events about versions that the registry does not have. A server is not asked: one that does not answer takes minutes."""
    from pipelines.registry.client import list_numbers

    if not versions or not registry.local or not registry.reachable():
        return []
    try:
        known = registry.numbers()
    except Exception as error:  # of MLflow's, or of its database's; the events are stored all the same
        return [f"versions are not checked: {str(error).splitlines()[0]}"]
    unknown = [f"{count:,} about version {version}" for version, count in versions.items() if version not in known]
    if not unknown:
        return []
    listed = ", ".join([*unknown[:SHOWN], *["…"] * (len(unknown) > SHOWN)])
    has = f"its versions are {list_numbers(known)}" if known else "it has none yet"
    return [f"events that are about no version of {registry.name!r}: {listed}; {has}, and a fold cannot generate their images"]


def record(file: Path, summary: ImportSummary, notes: list[str]) -> dict[str, object]:
    counts = {"rows": summary.rows, "stored": summary.stored, "known": summary.duplicates, "rejected": summary.rejected}
    rejects = str(summary.rejects) if summary.rejects else None
    return {"file": str(file), "format": summary.format, **counts, "rejects": rejects, "notes": notes}


def show(file: Path, summary: ImportSummary, notes: list[str]) -> None:
    rejected = sum(summary.rejected.values())
    print(f"{file.name} ({summary.format}): {summary.rows:,} rows")
    print(f"{summary.stored:>11,}  stored")
    print(f"{summary.duplicates:>11,}  known already")
    print(f"{rejected:>11,}  rejected{f', listed in {summary.rejects}' if summary.rejects else ''}")
    for reason, count in summary.rejected.items():
        print(f"{count:>15,}  {reason}")
    for note in notes:
        print(note)
