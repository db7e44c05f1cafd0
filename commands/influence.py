"""genloop influence: the events of one rater, what they changed, and which versions have learned from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.app import Json, command
from pipelines.core import timestamps
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.feedback.store.event_store import EventStore
    from pipelines.registry.client import Registry

SHOWN, DIGITS = 5, 12  # row_ids of a kind, and digits of each, as `genloop why` takes them


@command()
def influence(
    project: Project,
    rater: Annotated[str, typer.Argument(metavar="RATER", help="The name that the events of this rater have.")],
    as_json: Json = False,
) -> None:
    """Say what one rater did, what it changed, and which versions have learned from it."""
    from pipelines.feedback import rater_lineage
    from pipelines.feedback.sealed import manifest
    from pipelines.registry.client import open_registry
    from workspace import conflicts

    conflicts.check(project)
    _, registry = open_registry(project)
    manifest.require(project.feedback, project.manifest)
    with open_store(project) as store:
        lineage = rater_lineage.find(project, rater, store)
        if not lineage.events:
            raise rater_lineage.unknown_rater(project, rater, store)
    spans = {
        name: {"count": span.count, "first": timestamps.iso(span.first), "last": timestamps.iso(span.last)}
        for name, span in lineage.types.items()
    }
    state = {
        "rater": rater,
        "events": spans,
        "folds": {batch: len(events) for batch, events in lineage.sealed.items()},
        "waiting": len(lineage.waiting),
        "standing": curation(project.reports, rater),
        "rows": rater_lineage.affected_rows(project.curated, lineage.events),
        "versions": versions(registry, lineage.sealed),
    }
    print(json.dumps(state, indent=2)) if as_json else show(state)


@contextmanager
def open_store(project: Project) -> Iterator[EventStore | None]:
    """The event store, if there is one."""
    from pipelines.feedback.store import database

    if not database.reachable(project.database_url):
        yield None
        return

    from pipelines.feedback.store.event_store import EventStore

    with EventStore.open(project.database_url) as store:
        yield store


def curation(reports: Path, rater: str) -> dict[str, Any] | None:
    """The line of `curate` about the rater: share of the weight of all votes, reliability, what it rejected and why."""
    from pipelines.feedback import rater_lineage

    row = rater_lineage.curation_row(reports, rater)
    if row is None:
        return None
    return {"weight": float(row["weight"]), "reliability": float(row["reliability"]), "set_aside": row["set_aside"]}


def versions(registry: Registry, batches: Collection[str]) -> list[dict[str, Any]]:
    """The versions that have learned from one of these batches, with their aliases."""
    learned = registry.training_batches() if batches else {}
    return [
        {"version": number, "aliases": version.aliases}
        for number, version in learned.items()
        if not set(batches).isdisjoint(version.batches)
    ]


def show(state: dict[str, Any]) -> None:
    print(state["rater"])
    for name, span in state["events"].items():
        print(f"  {span['count']:>7,}  {name:<8} {span['first']} to {span['last']}")
    folds = ", ".join(f"{count:,} in {batch}" for batch, count in state["folds"].items())
    waiting = f"{state['waiting']:,} not folded yet" if state["waiting"] else ""
    print(f"  folded: {'; '.join(filter(None, (folds, waiting)))}")
    if curated := state["standing"]:
        print(f"  weight: {curated['weight']:.1%} of all votes; reliability {curated['reliability']:.2f}")
        print(f"  rejected: {curated['set_aside'] or 'nothing'}")
    for name, rows in state["rows"].items():
        if rows:
            name = {"reported": "flagged"}.get(name, name)
            shown = [*(row[:DIGITS] for row in rows[:SHOWN]), *["…"] * (len(rows) > SHOWN)]
            print(f"  rows {name}: {len(rows):,} ({', '.join(shown)})")
    print(f"  versions that have learned from this: {describe_versions(state['versions'])}")


def describe_versions(versions: list[dict[str, Any]]) -> str:
    """The versions and their aliases, as in "3, 4 (challenger), 7 (champion)"."""
    names = [" ".join([str(row["version"]), *(f"({alias})" for alias in row["aliases"])]) for row in versions]
    return ", ".join(names) or "none"
