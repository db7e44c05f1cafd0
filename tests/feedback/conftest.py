"""The event store on databases of both kinds, empty ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.feedback.store.event_store import EventStore


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    with EventStore.open(url) as opened:
        yield opened
