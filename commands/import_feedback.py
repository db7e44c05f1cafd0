"""genloop import-feedback: events from a file into the store, with a verdict on every row."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines import catalogue
from pipelines.core import paths
from pipelines.core.errors import InputError
from pipelines.settings.load import load_params

if TYPE_CHECKING:
    from pipelines.feedback.imports.exports.answers import Words
    from pipelines.feedback.imports.load import Tally


def import_feedback(file: Path, form: str | None, at: str | None, like: str | None, dislike: str | None, as_json: bool) -> None:
    file = file.absolute()
    os.chdir(paths.root())
    params = load_params()

    from pipelines.core.images import Limits
    from pipelines.core.progress import Progress
    from pipelines.feedback.imports import load
    from pipelines.feedback.store.event_store import Store

    if form is not None and form not in load.FORMATS:
        raise InputError(f"--format: {catalogue.unknown(form, load.FORMATS)}")
    rules = load.Rules(moment(file, at), Limits(**params.ingest.model_dump()), words(like, dislike))
    with Store.open() as store, Progress("import", total=None, unit="rows") as progress:
        tally = load.load(file, store, rules, form, lambda rows, done: progress.advance(rows, f"{done:.0%}"))
    print(json.dumps(summary(file, tally), indent=2)) if as_json else show(file, tally)
    if not tally.rows:
        raise InputError(f"{file}: has no rows")
    if not tally.stored and not tally.known:
        raise InputError(f"{file}: none of its {tally.rows:,} rows is usable; {tally.rejects} says why")


def moment(file: Path, at: str | None) -> datetime:
    """When that was said which the file has no time for: as told, else when the file was last written."""
    from pydantic_core import PydanticCustomError

    from pipelines.feedback import events

    if at is None:
        return datetime.fromtimestamp(file.stat().st_mtime if file.exists() else 0, UTC)
    try:
        return events.moment(at)
    except PydanticCustomError as error:
        raise InputError(f"--at {at}: {error.message()}") from None


def words(like: str | None, dislike: str | None) -> Words:
    from pipelines.core import shards
    from pipelines.feedback.imports.exports.answers import Words

    found = Words(classes=shards.classes(paths.CLEAN) if any(paths.CLEAN.glob("part-*.parquet")) else ())
    for name, given in (("like", like), ("dislike", dislike)):
        if given is not None:
            found = replace(found, **{name: tuple(word.strip().lower() for word in given.split(",") if word.strip())})
    both = sorted(set(found.like) & set(found.dislike))
    if both:
        raise InputError(f"--like and --dislike both name {both[0]!r}")
    return found


def summary(file: Path, tally: Tally) -> dict[str, object]:
    counts = {"rows": tally.rows, "stored": tally.stored, "known": tally.known, "rejected": tally.rejected}
    return {"file": str(file), "format": tally.form, **counts, "rejects": str(tally.rejects) if tally.rejects else None}


def show(file: Path, tally: Tally) -> None:
    rejected = sum(tally.rejected.values())
    print(f"{file.name} ({tally.form}): {tally.rows:,} rows")
    print(f"{tally.stored:>11,}  stored")
    print(f"{tally.known:>11,}  known already")
    print(f"{rejected:>11,}  rejected{f', listed in {tally.rejects}' if tally.rejects else ''}")
    for reason, count in tally.rejected.items():
        print(f"{count:>15,}  {reason}")
