"""Where a version comes from: what its tags and the artifacts of its run say, in words and as JSON."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.core.errors import GenloopError
from pipelines.registry import client
from pipelines.registry.client import NoVersionError, Version
from pipelines.settings.schema import Params

MACHINE, DATA = "genloop.machine.", "genloop.data."  # how names of tags begin
SHOWN = ("model.family", "model.preset", "train.steps", "train.batch_size", "train.seed", "image.size")  # settings, for people
SCORES = ("fid", "recall", "coverage", "memorisation", "approval")  # likewise


@dataclass(frozen=True)
class Lineage:
    """created: UTC. commit: None where it was made outside of git. dirty: whether something was changed and not committed.

    parents: the version that its training went on from, the one that that went on from, and so on; none from scratch.
    generation: models that stand between it and real images alone.
    events, raters: how many it has learned from; None where its register did not count them. folds: their names.
    verdict: what the gate said of it last, as `genloop promote --json` does.
    data: DVC's hash of everything in data/, by path. settings: flat, as in {"train.steps": "1000"}.
    machine: what it was trained on. packages: all that were installed, by name; none where its register did not list them.
    """

    model: str
    version: int
    created: datetime
    aliases: list[str]
    commit: str | None
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
        return {**asdict(self), "created": moment(self.created)}

    def lines(self) -> list[str]:
        """For people: a line a fact, settings and packages left to `as_json`."""
        facts = list(self.facts())
        width = max(len(name) for name, _ in facts)
        title = f"{self.model} version {self.version}{f', the {self.aliases[0]}' if self.aliases else ''}"
        return [title, *(f"  {name:<{width}}  {words}" for name, words in facts)]

    def facts(self) -> Iterator[tuple[str, str]]:
        yield "made", moment(self.created)
        if self.commit is None:
            yield "commit", "none: it was made outside of git"
        else:
            yield "commit", self.commit + (", with changes that were not committed" if self.dirty else "")
        yield "training", went_on(self.parents)
        yield "settings", ", ".join(f"{name} {self.settings[name]}" for name in SHOWN if name in self.settings)
        yield "learned from", said(self.events, self.raters, len(self.folds))
        yield "generation", f"{self.generation}{'' if self.generation else ', real images alone'}"
        yield "benchmark", self.benchmark_id or "not known"
        for name in SCORES:
            if name in self.metrics:
                yield name, interval(self.metrics, name)
        if self.verdict:
            yield "gate", f"{self.verdict['verdict']}, against {against(self.verdict.get('champion'))}"
        yield "machine", ", ".join(described(self.machine)) or "not known"
        yield "packages", f"{len(self.packages):,}" if self.packages else "not listed"
        for path, digest in sorted(self.data.items()):
            if not path.startswith(("data/reports/", "data/quarantine/")):
                yield path, digest


def of(params: Params, version: int) -> Lineage:
    """Raises NoVersionError where there is no such version."""
    found = client.version(params, version)
    tags = found.tags
    commit = tags.get("genloop.git_commit", "none")
    about = content(found, client.FEEDBACK)
    return Lineage(
        model=params.registry.model,
        version=version,
        created=found.created,
        aliases=[a for a in (client.CHAMPION, client.CHALLENGER) if client.holder(params, a) == version],
        commit=None if commit == "none" else commit,
        dirty=tags.get("genloop.git_dirty") == "true",
        parents=parents(params, found),
        generation=int(tags.get(client.GENERATION, 0)),
        benchmark_id=tags.get("genloop.benchmark_id"),
        events=number(tags.get("genloop.events", about.get("events"))),
        raters=number(tags.get("genloop.raters")),
        folds=about.get("batches", []),
        metrics=found.metrics,
        verdict=json.loads(tags["genloop.verdict"])["figures"] if "genloop.verdict" in tags else None,
        data=under(DATA, tags),
        settings=found.settings,
        machine={name: json.loads(value) for name, value in under(MACHINE, tags).items()},
        packages=content(found, client.PACKAGES),
    )


def parents(params: Params, version: Version) -> list[int]:
    """A parent that was deleted is named, and nothing is known of those before it."""
    chain: list[int] = []
    parent = version.tags.get("genloop.parent")
    while parent is not None and int(parent) not in chain:
        chain.append(int(parent))
        try:
            parent = client.version(params, int(parent)).tags.get("genloop.parent")
        except NoVersionError:
            break
    return chain


def content(version: Version, name: str) -> dict[str, Any]:
    """What a JSON file of the version's run says; nothing where it has none."""
    with tempfile.TemporaryDirectory(prefix="genloop-") as folder:
        path = client.artifact(version, name, Path(folder))
        if path is None:
            return {}
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise GenloopError(f"version {version.number}: its artifact {name} is no JSON ({error})") from None
        return found


def under(prefix: str, tags: dict[str, str]) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in tags.items() if name.startswith(prefix)}


def number(text: str | int | None) -> int | None:
    return None if text is None else int(text)


def went_on(parents: list[int]) -> str:
    if not parents:
        return "from scratch"
    return f"went on from version {', that from version '.join(map(str, parents))}"


def said(events: int | None, raters: int | None, folds: int) -> str:
    if not events:
        return "no judgements of people" if events == 0 else "not known"
    of = "" if raters is None else f" of {raters:,} rater{'s' * (raters != 1)}"
    return f"{events:,} event{'s' * (events != 1)}{of}, in {folds:,} fold{'s' * (folds != 1)}"


def interval(metrics: dict[str, float], name: str) -> str:
    low, high = (metrics.get(f"{name}_{end}") for end in ("low", "high"))
    return f"{metrics[name]:.4g}" + (f" ({low:.4g} to {high:.4g})" if low is not None and high is not None else "")


def against(champion: int | None) -> str:
    return "no champion" if champion is None else f"version {champion}"


def described(machine: dict[str, Any]) -> Iterator[str]:
    """{"threads": 2, "versions": {"keras": "3.15.1"}} -> "threads 2", "keras 3.15.1" """
    for name, value in machine.items():
        if isinstance(value, dict):
            yield from described(value)
        elif name in ("processor", "platform", "backend", "device"):
            yield str(value)
        else:
            yield f"{name} {value}"


def moment(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
