"""genloop status: the loop on one screen: versions, events, approval, drift, disk, stages, and what needs a person."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import console
from commands.app import Json, command
from commands.influence import open_store
from pipelines.core.errors import GenloopError
from pipelines.core.numbers import describe_bytes
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.loop_health import LoopHealth, VoteShare
    from pipelines.registry.client import Registry

KEYS = ("version", "metrics", "benchmark_id")
SCORE = "fid"  # that is shown of each version
NOTE = "fid_unbiased: with its 95% interval, an ideal model has 0; fid: as other libraries print it, and an ideal model's"
COLOURS = {"fresh": "green", "stale": "yellow", "never": "bright_black"}
PATIENCE = 1.0  # seconds that counting the disk may take
SPANS = (("day", 86_400), ("hour", 3_600), ("minute", 60))  # units of ages, and their seconds


@command()
def status(
    project: Project,
    as_json: Json = False,
    drift: Annotated[bool, typer.Option("--drift", help="Measure drift first; runs do so by themselves.")] = False,
) -> None:
    """Show how the loop fares: versions, events, drift, disk, stale stages, and what needs a person."""
    from operations.staleness import stage_states
    from pipelines.registry.client import open_registry
    from workspace import conflicts

    conflicts.check(project)
    params, registry = open_registry(project)
    if drift:
        measure(project)
    found = versions(registry)
    counts, health = examine(project, registry)
    state = {**found, "events": counts, "stages": stage_states(project, params, registry)}
    print(json.dumps(state | as_record(health), indent=2)) if as_json else show(state, health)


def measure(project: Project) -> None:
    """Measure drift and count the disk, in a process of its own."""
    from workspace import permissions, processes

    permissions.check_writable(project)
    processes.run(project, "measure", [sys.executable, "-m", "operations.measurements"], lambda line: None)


def versions(registry: Registry) -> dict[str, Any]:
    """The champion and the challenger; null where there is none. verdict: the gate's last one about it, or null."""
    from pipelines.promotion import decisions

    found = {}
    for alias, about in registry.versions().items():
        decision = decisions.latest(registry.version(about["version"])) if about else None
        verdict = decision.verdict if decision else None
        found[alias] = about and {**{key: about[key] for key in KEYS}, "verdict": verdict}
    return found


def examine(project: Project, registry: Registry) -> tuple[dict[str, int | None], LoopHealth]:
    """Counts of events, by the database, or without one by the sealed files, null where not known; and all else."""
    from operations import loop_health, storage
    from pipelines.feedback.sealed import manifest

    sizes = loop_health.known(lambda: storage.sizes(project, PATIENCE))
    new: int | None = None
    try:
        with open_store(project) as store:
            health = loop_health.examine(project, registry, store, sizes)
        new = None if store else 0
    except GenloopError as error:
        say(f"genloop: {error}")
        health = loop_health.examine(project, registry, None, sizes)
    if health.events is not None:
        return {"new": health.events.new, "folded": health.events.folded}, health
    return {"new": new, "folded": manifest.read(project.manifest).events}, health


def as_record(health: LoopHealth) -> dict[str, Any]:
    """For programs: null where something is not known, or there is none yet."""
    from dataclasses import asdict

    from operations import loop_health
    from pipelines.core import timestamps

    def at(time: datetime | None) -> str | None:
        return None if time is None else timestamps.iso(time, "seconds")

    verdicts = health.verdicts
    last = verdicts.last if verdicts else None
    about = {key: getattr(last, key) for key in ("verdict", "challenger", "champion", "at")} if last else None
    return {
        "waiting_since": at(health.waiting_since),
        "last_fold": at(health.last_fold),
        "last_training": at(health.last_training),
        "approval": {
            f"{one.days}d": {"rate": one.share, "low": one.low, "high": one.high, "votes": one.votes} for one in health.approval
        },
        "taste": asdict(health.taste) if health.taste else None,
        "verdicts": verdicts.counts if verdicts else None,
        "last_verdict": about,
        "drift": {kind: asdict(found) for kind, found in health.drift.kinds.items()} if health.drift else None,
        "disk": asdict(health.disk) if health.disk else None,
        "cache_bytes": health.sizes.bytes if health.sizes else None,
        "warnings": list(loop_health.warnings(health)),
    }


def show(state: dict[str, Any], health: LoopHealth) -> None:
    from operations import loop_health
    from pipelines.scoring import readings

    aliases = ("champion", "challenger")
    columns = ("model", "version", readings.unbiased_key(SCORE), SCORE, "benchmark", "gate")
    console.table(columns, [row(alias, state[alias]) for alias in aliases])
    if any(state[alias] for alias in aliases):
        typer.secho(NOTE, dim=True)
    for line in lines(state["events"], health):
        print(line)
    by_state = {word: [name for name, found in state["stages"].items() if found == word] for word in COLOURS}
    stages = [typer.style(f"{', '.join(names)}: {word}", COLOURS[word]) for word, names in by_state.items() if names]
    typer.echo(f"stages: {'; '.join(stages) or 'none'}")
    for warning in loop_health.warnings(health):
        typer.secho(f"warning: {warning}", fg="yellow")


def lines(counts: dict[str, int | None], health: LoopHealth) -> Iterator[str]:
    """A line for each part of the loop of which something is known."""
    from operations import storage
    from pipelines.core import timestamps
    from pipelines.promotion import decisions
    from pipelines.scoring import drift

    numbers = ", ".join(f"{count:,} {name}" if count is not None else f"{name} unknown" for name, count in counts.items())
    fold = f"; last fold {ago(health.age(health.last_fold))}" if health.last_fold else ""
    yield f"events: {numbers}{fold}"
    if health.approval:
        yield f"approval: {', '.join(map(window, health.approval))}"
    if health.taste:
        known = "known" if health.taste.known else "not known yet"
        yield f"taste: {known} by {health.taste.judgements:,} judgements: {health.taste.why}"
    if health.verdicts and (last := health.verdicts.last):
        judged = ", ".join(f"{count:,} {name}" for name, count in health.verdicts.counts.items() if count)
        when = ago(health.age(datetime.fromisoformat(last.at)))
        yield f"gate: {decisions.headline(last)}, {when}; versions judged: {judged}"
    if health.last_training:
        yield f"training: newest version registered {ago(health.age(health.last_training))}"
    if health.drift:
        for kind, found in health.drift.kinds.items():
            yield f"drift: {drift.describe(kind, found)}"
            if (words := drift.describe_classes(found)) is not None:
                yield f"  {words}"
        yield f"  measured {timestamps.minutes(datetime.fromisoformat(health.drift.at))}"
    if health.disk:
        sizes = health.sizes.bytes if health.sizes else {}
        taken = "".join(f", {name} {describe_bytes(sizes[key])}" for key, name in storage.NAMES.items() if key in sizes)
        yield f"disk: {describe_bytes(health.disk.free)} of {describe_bytes(health.disk.total)} free{taken}"


def window(found: VoteShare) -> str:
    """7 days 66% (63 to 69): the share of the votes that like, and its interval"""
    days = f"{found.days} day{'s' * (found.days != 1)}"
    return f"{days} {found.share:.0%} ({100 * found.low:.0f} to {100 * found.high:.0f})"


def ago(seconds: float | None) -> str:
    """3 hours ago"""
    for name, length in SPANS:
        if seconds is not None and seconds >= length:
            count = int(seconds // length)
            return f"{count:,} {name}{'s' * (count != 1)} ago"
    return "just now"


def row(alias: str, about: dict[str, Any] | None) -> list[str]:
    if about is None:
        return [alias, "none yet", "-", "-", "-", "-"]
    from pipelines.scoring import readings

    unbiased, other = readings.read(about["metrics"]).get(SCORE), readings.elsewhere(about["metrics"], SCORE)
    printed = "-" if other is None else other.value_text + (f" (ideal {other.ideal_text})" if other.ideal_text else "")
    numbers = (unbiased.text if unbiased else "-", printed)
    return [alias, str(about["version"]), *numbers, str(about["benchmark_id"] or "-")[:12], about["verdict"] or "-"]
