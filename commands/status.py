"""genloop status: champion and challenger, new events, and which stages are stale."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from commands import console
from commands.app import Json, command
from commands.influence import open_store
from pipelines.core.errors import GenloopError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.registry.client import Registry

KEYS = ("version", "metrics", "benchmark_id")
SCORE = "fid"  # that is shown of each version
NOTE = "fid_unbiased: with its 95% interval, an ideal model has 0; fid: as other libraries print it, and an ideal model's"
COLOURS = {"fresh": "green", "stale": "yellow", "never": "dim"}


@command()
def status(project: Project, as_json: Json = False) -> None:
    """Say which versions there are and which stages are stale."""
    from operations.staleness import stage_states
    from pipelines.registry.client import open_registry
    from workspace import conflicts

    conflicts.check(project)
    params, registry = open_registry(project)
    state = {**versions(registry), "events": events(project), "stages": stage_states(project, params, registry)}
    print(json.dumps(state, indent=2)) if as_json else show(state)


def versions(registry: Registry) -> dict[str, Any]:
    """The champion and the challenger; null where there is none. verdict: the gate's last one about it, or null."""
    from pipelines.promotion import decisions

    found = {}
    for alias, about in registry.versions().items():
        decision = decisions.latest(registry.version(about["version"])) if about else None
        verdict = decision.verdict if decision else None
        found[alias] = about and {**{key: about[key] for key in KEYS}, "verdict": verdict}
    return found


def events(project: Project) -> dict[str, int | None]:
    """Counts from the database; where it does not answer, from the sealed files, and null for new events."""
    from pipelines.feedback.sealed import manifest

    new: int | None = 0
    try:
        with open_store(project) as store:
            if store:
                counts = store.counts()
                return {"new": counts.new, "folded": counts.folded}
    except GenloopError as error:
        say(f"genloop: {error}")
        new = None
    return {"new": new, "folded": manifest.read(project.manifest).events}


def show(state: dict[str, Any]) -> None:
    from rich.text import Text

    from pipelines.scoring import readings

    aliases = ("champion", "challenger")
    columns = ("model", "version", readings.unbiased_key(SCORE), SCORE, "benchmark", "gate")
    console.table(columns, [row(alias, state[alias]) for alias in aliases])
    if any(state[alias] for alias in aliases):
        typer.secho(NOTE, dim=True)
    numbers = (f"{count:,} {name}" if count is not None else f"{name} unknown" for name, count in state["events"].items())
    print(f"events: {', '.join(numbers)}\n")
    console.table(("stage", "state"), [(name, Text(word, COLOURS[word])) for name, word in state["stages"].items()])


def row(alias: str, about: dict[str, Any] | None) -> list[str]:
    if about is None:
        return [alias, "none yet", "-", "-", "-", "-"]
    from pipelines.scoring import readings

    unbiased, other = readings.read(about["metrics"]).get(SCORE), readings.elsewhere(about["metrics"], SCORE)
    printed = "-" if other is None else other.value_text + (f" (ideal {other.ideal_text})" if other.ideal_text else "")
    numbers = (unbiased.text if unbiased else "-", printed)
    return [alias, str(about["version"]), *numbers, str(about["benchmark_id"] or "-")[:12], about["verdict"] or "-"]
