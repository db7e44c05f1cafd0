"""A registry and a gate that are a few lines each, for tests of what is done with what the gate says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.core import files, paths
from pipelines.promotion import gate, moves
from pipelines.promotion.rules import Judged, Word
from pipelines.promotion.verdict import Verdict
from pipelines.registry import client
from pipelines.settings.schema import Params


class Registry:
    """aliases: as in MLflow. tags: of each version. word: what the gate will say. asked: pairs that it has judged."""

    def __init__(self, versions: int = 3, champion: int | None = 2, challenger: int | None = 3) -> None:
        self.aliases = {client.CHAMPION: champion, client.CHALLENGER: challenger}
        self.tags: dict[int, dict[str, str]] = {number: {} for number in range(1, versions + 1)}
        self.word: Word = "promote"
        self.asked: list[tuple[int, int | None]] = []
        self.moves: list[SimpleNamespace] = []

    def install(self, patch: pytest.MonkeyPatch) -> None:
        files.write(paths.REPORTS / "reference.json", '{"benchmark_id": "abc"}')
        patch.setattr(client, "holder", lambda _, alias: self.aliases[alias])
        patch.setattr(client, "version", self.version)
        patch.setattr(client, "tag", lambda _, number, tags: self.tags[number].update(tags))
        patch.setattr(client, "artifact", lambda *_: None)
        patch.setattr(gate, "judge", self.judge)
        patch.setattr(moves, "move", self.move)

    def version(self, _: Params, number: int) -> client.Version:
        if number not in self.tags:
            raise client.NoVersionError(f"there is no version {number}")
        return client.Version(number, None, datetime.now(UTC), dict(self.tags[number]), {}, {})

    def judge(self, _: Params, challenger: int, champion: int | None, say: Callable[[str], None]) -> Verdict:
        self.asked.append((challenger, champion))
        say("the gate judges")
        fid = Judged("fid", "better", 0.0, 0.4, -1.25, -2.0, -0.5, self.word, "surely better")
        votes = Judged("approval", "not_worse", 0.02, 0.02, None, None, None, None, "nobody has judged enough yet")
        return Verdict(self.word, champion, challenger, "abc", 1500, [fid, votes], 4)

    def move(self, _: Params, to: int, expected: int | None, by: str, verdict: str, reason: str, *figures: Any) -> None:
        if self.aliases[client.CHAMPION] != expected:
            raise moves.LostError("somebody else was faster")
        self.aliases[client.CHAMPION] = to
        if self.aliases[client.CHALLENGER] == to:
            self.aliases[client.CHALLENGER] = None
        self.moves.append(SimpleNamespace(to=to, expected=expected, by=by, verdict=verdict, reason=reason, figures=figures))
