"""genloop status: what serves, what waits, what is stale."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.promotion import decisions
from pipelines.registry import client
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from workspace import dvc

KEYS = ("version", "metrics", "benchmark_id")


def status(as_json: bool) -> None:
    os.chdir(paths.root())
    state = {**versions(), "events": events(), "stages": dvc.status()}
    print(json.dumps(state, indent=2)) if as_json else show(state)


def versions() -> dict[str, Any]:
    """The champion and the challenger; null where there is none. verdict: what the gate said of it last, null if nothing."""
    params = load_params()
    found = client.versions(params)
    return {
        alias: about and {**{key: about[key] for key in KEYS}, "verdict": verdict(params, about["version"])}
        for alias, about in found.items()
    }


def verdict(params: Params, version: int) -> str | None:
    decision = decisions.said(client.version(params, version).tags)
    return decision.word if decision else None


def events() -> dict[str, int | None]:
    """Of the database; of the sealed files where it cannot be asked, and null for what only it knows."""
    from pipelines.feedback.sealed import manifest
    from pipelines.feedback.store import database

    if not database.reachable():
        return {"new": 0, "folded": manifest.read().events}

    from pipelines.feedback.store.event_store import Store

    try:
        with Store.open() as store:
            counts = store.counts()
    except GenloopError as error:
        print(f"genloop: {error}", file=sys.stderr)
        return {"new": None, "folded": manifest.read().events}
    return {"new": counts.new, "folded": counts.folded}


def show(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    models = Table("model", "version", "FID", "floor", "benchmark", "gate", box=None, header_style="dim", pad_edge=False)
    for alias in ("champion", "challenger"):
        found = state[alias]
        metrics = (found or {}).get("metrics") or {}
        numbers = (f"{metrics[name]:.3g}" if name in metrics else "-" for name in ("fid", "fid_floor"))
        benchmark = str((found or {}).get("benchmark_id") or "-")[:12]
        word = (found or {}).get("verdict") or "-"
        models.add_row(alias, str(found["version"]) if found else "none yet", *numbers, benchmark, word)
    console.print(models)
    numbers = (f"{count:,} {name}" if count is not None else f"{name} unknown" for name, count in state["events"].items())
    console.print(f"events: {', '.join(numbers)}\n")
    colours = {"fresh": "green", "stale": "yellow", "never": "dim"}
    stages = Table("stage", "state", box=None, header_style="dim", pad_edge=False)
    for name, word in state["stages"].items():
        stages.add_row(name, f"[{colours[word]}]{word}[/]")
    console.print(stages)
