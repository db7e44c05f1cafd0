"""genloop status: what serves, what waits, what is stale."""

from __future__ import annotations

import json
import os
from typing import Any

from flows import graph
from pipelines.core import params, paths, tracking

KEYS = ("version", "metrics", "benchmark_id")


def status(as_json: bool) -> None:
    os.chdir(paths.root())
    state = {**versions(), "events": {"new": 0, "folded": 0}, "stages": graph.status()}
    print(json.dumps(state, indent=2)) if as_json else show(state)


def versions() -> dict[str, Any]:
    """The champion and the challenger; null where there is none."""
    found = tracking.versions(params.load())
    return {alias: about and {key: about[key] for key in KEYS} for alias, about in found.items()}


def show(state: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    models = Table("model", "version", "FID", "floor", "benchmark", box=None, header_style="dim", pad_edge=False)
    for alias in ("champion", "challenger"):
        found = state[alias]
        metrics = (found or {}).get("metrics") or {}
        numbers = (f"{metrics[name]:.3g}" if name in metrics else "-" for name in ("fid", "fid_floor"))
        benchmark = str((found or {}).get("benchmark_id") or "-")[:12]
        models.add_row(alias, str(found["version"]) if found else "none yet", *numbers, benchmark)
    console.print(models)
    colours = {"fresh": "green", "stale": "yellow", "never": "dim"}
    stages = Table("stage", "state", box=None, header_style="dim", pad_edge=False)
    for name, word in state["stages"].items():
        stages.add_row(name, f"[{colours[word]}]{word}[/]")
    console.print(stages)
