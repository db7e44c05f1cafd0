"""genloop influence: what one rater has said, what it changed, and which versions have learned from it."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pipelines.core import paths
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params

if TYPE_CHECKING:
    from pipelines.feedback.store.event_store import Store

SHOWN, DIGITS = 5, 12  # row_ids of a kind, and how much of each; `genloop why` takes that


def influence(rater: str, as_json: bool) -> None:
    os.chdir(paths.root())
    params = load_params()

    from pipelines.feedback import rater_lineage
    from pipelines.feedback.sealed import manifest

    manifest.demand(paths.FEEDBACK, manifest.missing())
    with database() as store:
        found = rater_lineage.of(rater, store)
        if not found.events:
            raise rater_lineage.unknown(rater, store)
    spans = {
        name: {"count": span.count, "first": moment(span.first), "last": moment(span.last)}
        for name, span in found.types.items()
    }
    state = {
        "rater": rater,
        "events": spans,
        "folds": {batch: len(said) for batch, said in found.sealed.items()},
        "waiting": len(found.waiting),
        "standing": standing(rater),
        "rows": rater_lineage.touched(found.events),
        "versions": versions(params, found.sealed),
    }
    print(json.dumps(state, indent=2)) if as_json else show(state)


@contextmanager
def database() -> Iterator[Store | None]:
    """The event store, if there is one."""
    from pipelines.feedback.store import database

    if not database.reachable():
        yield None
        return

    from pipelines.feedback.store.event_store import Store

    with Store.open() as store:
        yield store


def standing(rater: str) -> dict[str, Any] | None:
    """How far `curate` believes the rater: share of the weight of all votes, reliability, what it set aside and why."""
    from pipelines.feedback import rater_lineage

    line = rater_lineage.standing(rater)
    if line is None:
        return None
    return {"weight": float(line["weight"]), "reliability": float(line["reliability"]), "set_aside": line["set_aside"]}


def versions(params: Params, batches: Collection[str]) -> list[dict[str, Any]]:
    """Those that have learned from one of these folds, with what they serve as."""
    from pipelines.registry import client

    learned = client.learned(params).items() if batches else ()
    return [{"version": number, "aliases": of.aliases} for number, of in learned if not set(batches).isdisjoint(of.batches)]


def moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def show(state: dict[str, Any]) -> None:
    print(state["rater"])
    for name, span in state["events"].items():
        print(f"  {span['count']:>7,}  {name:<8} {span['first']} to {span['last']}")
    folds = ", ".join(f"{count:,} in {batch}" for batch, count in state["folds"].items())
    waiting = f"{state['waiting']:,} not folded yet" if state["waiting"] else ""
    print(f"  folded: {'; '.join(filter(None, (folds, waiting)))}")
    if state["standing"]:
        of = state["standing"]
        print(f"  weight: {of['weight']:.1%} of all votes; reliability {of['reliability']:.2f}")
        print(f"  set aside: {of['set_aside'] or 'nothing'}")
    for name, rows in state["rows"].items():
        if rows:
            some = [*(row[:DIGITS] for row in rows[:SHOWN]), *["…"] * (len(rows) > SHOWN)]
            print(f"  rows {name}: {len(rows):,} ({', '.join(some)})")
    print(f"  versions that have learned from this: {serving(state['versions'])}")


def serving(versions: list[dict[str, Any]]) -> str:
    """As in "3, 4 (challenger), 7 (champion)"."""
    names = [" ".join([str(of["version"]), *(f"({alias})" for alias in of["aliases"])]) for of in versions]
    return ", ".join(names) or "none"
