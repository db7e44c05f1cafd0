"""The whole database of events as a file, and from that into a database of either kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.feedback.events import Sample
from pipelines.feedback.shown import ShownSample
from pipelines.feedback.store import transfer
from pipelines.feedback.store.event_store import AddResult, EventStore
from tests.support.votes import vote, votes


def fill(url: str) -> None:
    with EventStore.open(url) as store:
        store.add(votes(0, 30))
        store.claim("batch-1", 10)
        store.erase("r2")
        store.add_samples([ShownSample(Sample(version=1, seed=2**31 - 1), True, "a" * 64, 0.1, 1 / 3, 7, 0.1 + 0.2)])
        store.add_favourite("r1", Sample(version=1, seed=5, label=2))


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/target.db"
    make: Callable[[], str] = request.getfixturevalue("postgresql")
    return make()


def test_every_row_comes_through_and_rules_hold_again(url: str, target: str, tmp_path: Path) -> None:
    fill(url)
    transfer.save(url, tmp_path / "saved.db")
    assert [path.name for path in tmp_path.glob("saved.db*")] == ["saved.db"]
    transfer.load(tmp_path / "saved.db", target)
    expected = transfer.digests_of(url)
    assert expected["events"].rows == 20
    assert transfer.digests_of(target) == expected == transfer.digests_of(f"sqlite:///{tmp_path}/saved.db")
    with EventStore.open(target) as store, EventStore.open(url) as before:
        assert store.batches() == before.batches()
        assert store.events_in("batch-1") == before.events_in("batch-1")
        sample = Sample(version=1, seed=2**31 - 1)
        assert store.shown([sample]) == before.shown([sample])
        assert store.add([vote(2, rater="r2")]) == [AddResult.FORGOTTEN]
        assert store.add([vote(0)]) == [AddResult.KNOWN]
        with pytest.raises(Exception, match="append-only"), store.writer.begin() as connection:
            connection.exec_driver_sql("DELETE FROM events")


def test_a_database_with_other_rows_is_left_alone(url: str, tmp_path: Path) -> None:
    fill(url)
    transfer.save(url, tmp_path / "saved.db")
    expected = transfer.digests_of(url)
    transfer.check_empty(url, expected)
    transfer.load(tmp_path / "saved.db", url)  # the very same: nothing to do
    with EventStore.open(url) as store:
        store.add(votes(100, 1))
    now = transfer.digests_of(url)
    for attempt in (lambda: transfer.check_empty(url, expected), lambda: transfer.load(tmp_path / "saved.db", url)):
        with pytest.raises(InputError, match="has events or a history already"):
            attempt()
    assert transfer.digests_of(url) == now


def test_an_empty_database_is_neither_made_nor_given_tables_by_the_question(url: str) -> None:
    transfer.check_empty(url, {})
    if url.startswith("sqlite"):
        assert not Path(url.removeprefix("sqlite:///")).exists()
    EventStore.open(url).close()
    transfer.check_empty(url, {})


def test_a_digest_sees_every_change(url: str) -> None:
    fill(url)
    before = transfer.digests_of(url)
    with EventStore.open(url) as store:
        store.claim("batch-2", 1)
    after = transfer.digests_of(url)
    assert [name for name in before if before[name] != after[name]] == ["batches", "events"]
