"""Files that are pinned by their sha256: read whole, or refused with what to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipelines.core.errors import InputError
from pipelines.features import pinned

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
OTHER = "0" * 64


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "genloop"


@pytest.fixture
def url() -> Iterator[str]:
    """Of a file that is elsewhere, as far as anybody can see."""
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/pinned/weights.bin", CONTENT)
    yield "memory://pinned/weights.bin"
    memory.store.clear()


def test_a_file_of_this_machine_is_read_where_it_is(tmp_path: Path, cache: Path) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(CONTENT)
    assert pinned.read(str(path), SHA256, cache) == CONTENT
    assert pinned.read(f"file://{path}", SHA256, cache) == CONTENT
    assert not cache.exists()


def test_what_came_from_elsewhere_is_kept(url: str, cache: Path) -> None:
    assert pinned.read(url, SHA256, cache) == CONTENT
    fsspec.filesystem("memory").rm("/pinned/weights.bin")
    assert pinned.read(url, SHA256, cache) == CONTENT
    assert [path.name for path in cache.iterdir()] == [SHA256]


def test_a_damaged_copy_is_fetched_again(url: str, cache: Path) -> None:
    pinned.read(url, SHA256, cache)
    (cache / SHA256).write_bytes(CONTENT[:-1])
    assert pinned.read(url, SHA256, cache) == CONTENT
    assert (cache / SHA256).read_bytes() == CONTENT


def test_a_file_put_into_the_cache_by_hand_is_found(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / SHA256).write_bytes(CONTENT)
    assert pinned.read("https://example.invalid/weights.bin", SHA256, cache) == CONTENT


def test_a_cache_that_cannot_be_written_is_done_without(url: str, cache: Path) -> None:
    cache.parent.write_text("a file where the folder should be")
    assert pinned.read(url, SHA256, cache) == CONTENT


def test_another_file_than_the_pinned_one_is_refused_and_not_kept(url: str, cache: Path) -> None:
    with pytest.raises(InputError) as caught:
        pinned.read(url, OTHER, cache)
    for word in (url, "7,000 bytes", SHA256, OTHER, "reference.sha256"):
        assert word in str(caught.value)
    assert not cache.exists()


def test_a_place_out_of_reach_is_named_with_what_to_do(cache: Path) -> None:
    place = "http://127.0.0.1:9/weights.bin"  # nothing listens there
    with pytest.raises(InputError) as caught:
        pinned.read(place, SHA256, cache)
    for word in (place, "cannot be read", f"curl -L -o {SHA256} {place}", str(cache / SHA256)):
        assert word in str(caught.value)


@pytest.mark.parametrize("place", ["nowhere.bin", ".", "nonsense://weights.bin"])
def test_a_place_with_no_file_is_refused(place: str, cache: Path) -> None:
    with pytest.raises(InputError, match=rf"{place}: cannot be read"):
        pinned.read(place, SHA256, cache)


def test_an_endless_file_is_not_read_to_its_end(url: str, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="more than 100 bytes"):
        pinned.read(url, SHA256, cache)
