"""Sources that change outside of the project are noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines.sources import changes
from tests.conftest import MakeParams


def test_a_file_that_comes_changes_or_goes_is_noticed(project: Path, make_params: MakeParams) -> None:
    photos = project / "photos"
    (photos / "cat").mkdir(parents=True)
    (photos / "cat/a.png").write_bytes(b"1")
    sources = make_params({"sources": [{"type": "folder", "path": "photos"}, {"type": "digits"}]}).sources
    changes.record(changes.state(sources))
    assert not changes.changed(sources)

    (photos / "cat/b.png").write_bytes(b"1")
    assert changes.changed(sources)
    changes.record(changes.state(sources))
    os.utime(photos / "cat/a.png", ns=(1, 1))
    assert changes.changed(sources)
    changes.record(changes.state(sources))
    (photos / "cat/a.png").unlink()
    assert changes.changed(sources)


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_single_file_is_watched_too(project: Path, make_params: MakeParams, prefix: str) -> None:
    file = project / "images.npz"
    file.write_bytes(b"1")
    sources = make_params({"sources": [{"type": "npz", "path": f"{prefix}{file}"}]}).sources
    changes.record(changes.state(sources))
    assert not changes.changed(sources)
    file.write_bytes(b"22")
    assert changes.changed(sources)


def test_a_remote_place_is_watched_too(project: Path, make_params: MakeParams) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/watched/a.png", b"1")
    sources = make_params({"sources": [{"type": "folder", "path": "memory://watched"}]}).sources
    changes.record(changes.state(sources))
    assert not changes.changed(sources)
    memory.pipe("/watched/b.png", b"1")
    assert changes.changed(sources)


def test_what_cannot_be_known_is_taken_as_unchanged(project: Path, make_params: MakeParams) -> None:
    sources = make_params({"sources": [{"type": "npz", "path": "gone.npz"}]}).sources
    assert not changes.changed(sources)  # neither a record nor the file
    assert not changes.changed(make_params().sources)  # no record: made now
    assert changes.SEEN.exists()
    assert not changes.changed(sources)
