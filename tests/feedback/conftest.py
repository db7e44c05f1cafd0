"""The event store on databases of both kinds, empty ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.feedback import database
from pipelines.feedback.store import Store
from tests.conftest import REPOSITORY


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def configured(url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with settings, whose database is that of `url`."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project)
    monkeypatch.setenv(database.VARIABLE, url)
    return project
