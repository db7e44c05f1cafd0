"""A registry in memory, in place of MLflow's: versions 1 to 9 of a model, and aliases."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipelines.registry import client
from pipelines.registry.client import NoVersionError, Version
from pipelines.settings.schema import Params

CREATED = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Registry:
    def __init__(self) -> None:
        self.versions = set(range(1, 10))
        self.aliases: dict[str, int] = {}

    def reachable(self) -> bool:
        return True

    def holder(self, params: Params, alias: str) -> int | None:
        return self.aliases.get(alias)

    def point(self, params: Params, alias: str, version: int | None) -> None:
        assert version is None or version in self.versions
        self.aliases.pop(alias, None)
        if version is not None:
            self.aliases[alias] = version

    def version(self, params: Params, number: int) -> Version:
        if number not in self.versions:
            raise NoVersionError(f"no version {number}")
        return Version(number, None, CREATED, {}, {}, {})

    def delete(self, number: int) -> None:
        """The aliases of a version go with it, without a word."""
        self.versions.remove(number)
        self.aliases = {alias: version for alias, version in self.aliases.items() if version != number}


def install(patch: pytest.MonkeyPatch) -> Registry:
    registry = Registry()
    for name in ("reachable", "holder", "point", "version"):
        patch.setattr(client, name, getattr(registry, name))
    return registry
