"""The lineage of a version: what its tags and the artifacts of its run say, in words and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.core.errors import GenloopError
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.core.timestamps import iso
from pipelines.registry.client import Registry
from pipelines.registry.versions import COMMIT, DATA, FEEDBACK, NO_COMMIT, PACKAGES, NoVersionError, Version
from pipelines.scoring import readings

MACHINE = "genloop.machine."  # how names of tags begin
SHOWN = ("model.family", "model.preset", "train.steps", "train.batch_size", "train.seed", "image.size")  # settings, for people
SCORES = ("fid", "told_apart", "recall", "coverage", "memorisation", "approval")  # likewise


@dataclass(frozen=True)
class Lineage:
    """created: UTC. commit: None where it was made outside of git, and no_commit says why. dirty: whether
    something was changed and not committed.

    parents: the version that its training went on from, the one that that went on from, and so on; none from scratch.
    generation: models that stand between it and real images alone.
    events, raters: how many it has learned from; None where its register did not count them. folds: their names.
    verdict: the last one of the gate, as `genloop promote --json` prints it.
    data: DVC's hash of everything in data/, by path. settings: flat, as in {"train.steps": "1000"}.
    machine: what it was trained on. packages: all that were installed, by name; none where its register did not list them.
    """

    model: str
    version: int
    created: datetime
    aliases: list[str]
    commit: str | None
    no_commit: str | None
    dirty: bool
    parents: list[int]
    generation: int
    benchmark_id: str | None
    events: int | None
    raters: int | None
    folds: list[str]
    metrics: dict[str, float]
    verdict: dict[str, Any] | None
    data: dict[str, str]
    settings: dict[str, str]
    machine: dict[str, Any]
    packages: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "created": iso(self.created, "seconds")}

    def lines(self) -> list[str]:
        """For people: a line a fact, settings and packages left to `as_json`."""
        facts = list(self.facts())
        width = max(len(name) for name, _ in facts)
        title = f"{self.model} version {self.version}{f', the {self.aliases[0]}' if self.aliases else ''}"
        return [title, *(f"  {name:<{width}}  {words}" for name, words in facts)]

    def facts(self) -> Iterator[tuple[str, str]]:
        yield "made", iso(self.created, "seconds")
        changes = ", with changes that were not committed" if self.dirty else ""
        yield "commit", f"none: {self.no_commit}" if self.commit is None else self.commit + changes
        earlier = ", that from version ".join(map(str, self.parents))
        yield "training", f"went on from version {earlier}" if self.parents else "from scratch"
        yield "settings", ", ".join(f"{name} {self.settings[name]}" for name in SHOWN if name in self.settings)
        yield "learned from", describe_feedback(self.events, self.raters, len(self.folds))
        yield "generation", f"{self.generation}{'' if self.generation else ', real images alone'}"
        yield "benchmark", self.benchmark_id or "not known"
        for row in readings.rows(self.metrics):
            if row.name in SCORES:
                yield row.fact()
        if self.verdict:
            champion = self.verdict.get("champion")
            yield "gate", f"{self.verdict['verdict']}, against {'no champion' if champion is None else f'version {champion}'}"
        yield "machine", ", ".join(describe_machine(self.machine)) or "not known"
        yield "packages", f"{len(self.packages):,}" if self.packages else "not listed"
        for path, digest in sorted(self.data.items()):
            if not path.startswith(("data/reports/", "data/quarantine/")):
                yield path, digest


def read(registry: Registry, version: int) -> Lineage:
    """Raises NoVersionError where there is no such version."""
    found = registry.version(version)
    tags = found.tags
    commit = tags.get(COMMIT, "none")
    about = read_artifact(registry, found, FEEDBACK)
    return Lineage(
        model=registry.name,
        version=version,
        created=found.created,
        aliases=registry.aliases_of(version),
        commit=None if commit == "none" else commit,
        no_commit=tags.get(NO_COMMIT, "it was made outside of git") if commit == "none" else None,
        dirty=tags.get("genloop.git_dirty") == "true",
        parents=parents(registry, found),
        generation=found.generation,
        benchmark_id=tags.get("genloop.benchmark_id"),
        events=parse_count(tags.get("genloop.events", about.get("events"))),
        raters=parse_count(tags.get("genloop.raters")),
        folds=about.get("batches", []),
        metrics=found.metrics,
        verdict=json.loads(tags["genloop.verdict"])["figures"] if "genloop.verdict" in tags else None,
        data=with_prefix(DATA, tags),
        settings=found.settings,
        machine={name: json.loads(value) for name, value in with_prefix(MACHINE, tags).items()},
        packages=read_artifact(registry, found, PACKAGES),
    )


def parents(registry: Registry, version: Version) -> list[int]:
    """A parent that was deleted is named, and nothing is known of those before it."""
    chain: list[int] = []
    parent = version.tags.get("genloop.parent")
    while parent is not None and int(parent) not in chain:
        chain.append(int(parent))
        try:
            parent = registry.version(int(parent)).tags.get("genloop.parent")
        except NoVersionError:
            break
    return chain


def read_artifact(registry: Registry, version: Version, name: str) -> dict[str, Any]:
    """The content of a JSON file of the version's run; empty where it has none."""
    with TemporaryFolder() as folder:
        path = registry.artifact(version, name, Path(folder))
        if path is None:
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise GenloopError(f"version {version.number}: its artifact {name} is no JSON ({error})") from None
        return found


def with_prefix(prefix: str, tags: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in tags.items() if name.startswith(prefix)}


def parse_count(text: str | int | None) -> int | None:
    return None if text is None else int(text)


def describe_feedback(events: int | None, raters: int | None, folds: int) -> str:
    if not events:
        return "no judgements of people" if events == 0 else "not known"
    people = "" if raters is None else f" of {raters:,} rater{'s' * (raters != 1)}"
    return f"{events:,} event{'s' * (events != 1)}{people}, in {folds:,} fold{'s' * (folds != 1)}"


def describe_machine(machine: dict[str, Any]) -> Iterator[str]:
    """{"threads": 2, "versions": {"keras": "3.15.1"}} -> "threads 2", "keras 3.15.1" """
    for name, value in machine.items():
        if isinstance(value, dict):
            yield from describe_machine(value)
        elif name in ("processor", "platform", "backend", "device"):
            yield str(value)
        else:
            yield f"{name} {value}"
