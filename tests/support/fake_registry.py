"""A registry in memory and a gate that says what a test wants: objects to be passed in place of the real ones.

>>> registry = FakeRegistry(versions=3, champion=2, challenger=3)
>>> decisions.is_due(project, params, registry)

Commands and flows open their registry themselves; `install` lets them get this one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import files
from pipelines.core.project import Project
from pipelines.promotion import gate
from pipelines.promotion.decisions import Contest
from pipelines.promotion.gate import GateResult
from pipelines.promotion.rules import RuleResult, Verdict
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION, NoVersionError, Version, VersionOutline
from pipelines.settings.schema import Params

CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)


class BlackSampler:
    """Draws black images."""

    classes, conditional = list("abc"), True

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        return np.zeros((len(seeds), 8, 8, 1), np.uint8)


class FakeRegistry:
    """pointers: version by alias. tags: of each version. samplers: of versions that do not draw black images. artifacts: of
    each version, by name."""

    name, uri = "genloop-digits", "memory"

    def __init__(self, versions: int = 3, champion: int | None = 2, challenger: int | None = 3) -> None:
        pointers = {CHAMPION: champion, CHALLENGER: challenger}
        self.pointers = {alias: number for alias, number in pointers.items() if number is not None}
        self.tags: dict[int, dict[str, str]] = {number: {} for number in range(1, versions + 1)}
        self.samplers: dict[int, Any] = {}
        self.artifacts: dict[int, dict[str, bytes]] = {}
        self.registered: int | None = None  # the version that `register` wrote down last
        self.created = CREATED

    def reachable(self) -> bool:
        return True

    def numbers(self) -> list[int]:
        return sorted(self.tags)

    def has(self, number: int) -> bool:
        return number in self.tags

    def aliases(self) -> dict[str, int]:
        return dict(self.pointers)

    def alias(self, alias: str) -> int | None:
        return self.pointers.get(alias)

    def aliases_of(self, number: int) -> list[str]:
        return [alias for alias in (CHAMPION, CHALLENGER) if self.pointers.get(alias) == number]

    def set_alias(self, alias: str, number: int | None) -> None:
        assert number is None or number in self.tags
        self.pointers.pop(alias, None)
        if number is not None:
            self.pointers[alias] = number

    def version(self, number: int) -> Version:
        if number not in self.tags:
            raise NoVersionError(f"there is no version {number}")
        return Version(number, None, self.created, dict(self.tags[number]), {}, {})

    def outlines(self) -> list[VersionOutline]:
        return [VersionOutline(number, self.created, dict(tags)) for number, tags in sorted(self.tags.items())]

    def identity(self, number: int) -> str | None:
        return None

    def generation(self, number: int) -> int:
        return self.version(number).generation

    def versions(self) -> dict[str, dict[str, Any] | None]:
        return {
            alias: {"version": self.pointers[alias], "metrics": {}, "benchmark_id": "abc"} if alias in self.pointers else None
            for alias in (CHAMPION, CHALLENGER)
        }

    def tag(self, number: int, tags: dict[str, str]) -> None:
        self.tags[number].update(tags)

    def load(self, number: int | None = None) -> Any:
        number = self.pointers[CHAMPION] if number is None else self.version(number).number
        return self.samplers.get(number) or BlackSampler()

    def receipt(self) -> dict[str, Any] | None:
        return {"model": self.name, "version": self.registered} if self.registered else None

    def artifact(self, version: Version, name: str, folder: Path) -> Path | None:
        content = self.artifacts.get(version.number, {}).get(name)
        if content is None:
            return None
        (folder / name).write_bytes(content)
        return folder / name

    def delete(self, number: int) -> None:
        """The aliases of a version go with it, without a word."""
        del self.tags[number]
        self.pointers = {alias: version for alias, version in self.pointers.items() if version != number}


@dataclass
class FakeGate:
    """verdict: what it will say. judged: pairs of challenger and champion that it was asked about."""

    verdict: Verdict = "promote"
    judged: list[tuple[int, int | None]] = field(default_factory=list)

    def judge(self, _: Project, __: Params, ___: Registry, contest: Contest, log: Callable[[str], None]) -> GateResult:
        challenger, champion = contest.challenger.number, contest.champion_number
        self.judged.append((challenger, champion))
        log("the gate judges")
        fid = RuleResult("fid", "better", 0.0, 0.4, -1.25, -2.0, -0.5, self.verdict, "surely better")
        votes = RuleResult("approval", "not_worse", 0.02, 0.02, None, None, None, None, "nobody has judged enough yet")
        return GateResult(self.verdict, champion, challenger, "abc", 1500, [fid, votes], 4)


def install(patch: pytest.MonkeyPatch, project: Project, registry: FakeRegistry, fake: FakeGate | None = None) -> FakeGate:
    """Whoever opens a registry gets this one, and the gate is a fake one, which is returned; `project` has a benchmark."""
    fake = fake or FakeGate()
    files.write(project.reports / "reference.json", '{"benchmark_id": "abc"}')
    patch.setattr(Registry, "open", lambda *_: registry)
    patch.setattr(gate, "judge", fake.judge)
    return fake
