"""What stores take of the disk: counted right, kept for the next one who asks, and never waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from operations import storage
from operations.storage import DiskSpace, TooSlowError
from pipelines.core import timestamps
from pipelines.core.numbers import describe_bytes
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from tests.conftest import REPOSITORY
from tests.support import read_only
from tests.support.votes import votes


def fill(folder: Path, name: str, count: int) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x" * count)


def test_every_store_is_counted_and_what_lies_elsewhere_is_not(kept: Project) -> None:
    fill(kept.root, ".dvc/cache/files/md5/ab/cdef", 1000)
    fill(kept.root, ".dvc/cache/files/md5/ef/0123", 500)
    fill(kept.root, "mlflow.db", 300)
    fill(kept.root, "mlflow.db-wal", 20)
    fill(kept.root, "mlruns/1/abc/artifacts/model.npz", 4000)
    fill(kept.root, "checkpoints/key/step-1.safetensors", 70)
    (kept.root / "checkpoints" / "elsewhere").symlink_to(kept.root / "mlruns")
    with EventStore.open(kept.database_url) as store:
        store.add(votes(0, 3))
        found = storage.count(kept).bytes
        assert found["database"] == sum(
            path.stat().st_size for path in kept.data.glob("feedback.db*") if path.suffix != ".lock"
        )
    link = os.lstat(kept.root / "checkpoints" / "elsewhere").st_size
    assert found | {"database": 0} == {"dvc": 1500, "mlflow": 4320, "checkpoints": 70 + link, "database": 0}


def test_a_cache_elsewhere_is_found_by_the_settings_of_dvc(kept: Project, tmp_path: Path) -> None:
    fill(tmp_path / "cache", "files/md5/ab/cd", 900)
    (kept.root / ".dvc/config.local").write_text(f"[cache]\n    dir = {tmp_path / 'cache'}\n")
    assert storage.count(kept).bytes["dvc"] == 900


def test_a_database_on_a_server_says_how_large_it_is(kept: Project, postgresql: Callable[[], str]) -> None:
    on_server = kept.with_variables({"GENLOOP_DATABASE_URL": postgresql(), "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    found = storage.count(on_server).bytes
    assert found["database"] > 1_000_000
    assert "mlflow" not in found


def test_a_server_that_does_not_answer_leaves_the_rest(kept: Project) -> None:
    away = kept.with_variables({"GENLOOP_DATABASE_URL": "postgresql://127.0.0.1:9/none"})
    assert set(storage.count(away).bytes) == {"dvc", "mlflow", "checkpoints"}


def test_a_count_is_kept_for_a_while(kept: Project) -> None:
    fill(kept.root, "checkpoints/a", 10)
    first = storage.sizes(kept, patience=10)
    assert first is not None
    fill(kept.root, "checkpoints/b", 10)
    again = storage.sizes(kept, patience=10)
    assert again is not None
    assert again.bytes == first.bytes
    old = replace(first, at=timestamps.now() - storage.FRESH - timedelta(seconds=1))
    assert not old.fresh
    assert replace(old, seconds=60.0).fresh  # what takes long is not repeated so soon


def test_what_takes_too_long_is_not_waited_for(kept: Project) -> None:
    fill(kept.root, "checkpoints/a", 10)
    with pytest.raises(TooSlowError):
        storage.count(kept, patience=0.0)
    assert storage.sizes(kept, patience=0.0) is None
    storage.count(kept)
    storage.sizes_file(kept).write_text(storage.sizes_file(kept).read_text().replace("20", "19", 1))  # of the year
    before = storage.read(kept)
    assert before is not None
    assert not before.fresh
    assert storage.sizes(kept, patience=0.0) == before


def test_a_process_of_its_own_counts_for_a_server(kept: Project) -> None:
    fill(kept.root, "checkpoints/a", 10)
    found = storage.count_apart(kept.with_variables({"PYTHONPATH": str(REPOSITORY)}))
    assert found is not None
    assert found.bytes["checkpoints"] == 10
    assert storage.read(kept) == found


def test_a_project_that_cannot_be_written_is_counted_and_nothing_is_left(
    kept: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(kept.root, "checkpoints/a", 10)
    read_only.close(kept.root)
    read_only.go_by_mode(monkeypatch)
    before = read_only.names(kept.root)
    found = storage.sizes(kept, patience=10)
    assert read_only.names(kept.root) == before
    read_only.open_again(kept.root)
    assert found is not None
    assert found.bytes["checkpoints"] == 10


@pytest.mark.parametrize("text", ["", "[]", '{"at": 3}', '{"at": "2026-01-31T12:00:00Z", "bytes": 5, "seconds": 1}'])
def test_a_damaged_file_is_none(kept: Project, text: str) -> None:
    fill(kept.root, "logs/measurements/storage.json", 0)
    storage.sizes_file(kept).write_text(text)
    assert storage.read(kept) is None


def test_little_room_is_a_tenth_or_five_gigabytes() -> None:
    tera = 10**12
    assert DiskSpace(tera // 20, tera).low
    assert DiskSpace(4 * 10**9, 20 * 10**9).low
    assert not DiskSpace(6 * 10**9, 20 * 10**9).low
    assert not DiskSpace(tera // 5, tera).low


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (35 * 10**9, "35.0 GB"),
     (999_999, "1.0 MB"), (250_400_000, "250 MB"), (3 * 10**18, "3,000 PB")],
)  # fmt: skip
def test_bytes_are_read_as_disks_are_sold(count: int, words: str) -> None:
    assert describe_bytes(count) == words
