"""Sources that change outside of the project are noticed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from pipelines.core.project import Project
from pipelines.sources import changes
from tests.conftest import MakeParams


def test_a_file_that_comes_changes_or_goes_is_noticed(project: Project, make_params: MakeParams) -> None:
    photos = project.root / "photos"
    (photos / "cat").mkdir(parents=True)
    (photos / "cat/a.png").write_bytes(b"1")
    sources = make_params({"sources": [{"type": "folder", "path": "photos"}, {"type": "digits"}]}).sources
    changes.record(project, changes.state(project, sources))
    assert not changes.have_changed(project, sources)

    (photos / "cat/b.png").write_bytes(b"1")
    assert changes.have_changed(project, sources)
    changes.record(project, changes.state(project, sources))
    os.utime(photos / "cat/a.png", ns=(1, 1))
    assert changes.have_changed(project, sources)
    changes.record(project, changes.state(project, sources))
    (photos / "cat/a.png").unlink()
    assert changes.have_changed(project, sources)


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_single_file_is_watched_too(project: Project, make_params: MakeParams, prefix: str) -> None:
    file = project.root / "images.npz"
    file.write_bytes(b"1")
    sources = make_params({"sources": [{"type": "npz", "path": f"{prefix}{file}"}]}).sources
    changes.record(project, changes.state(project, sources))
    assert not changes.have_changed(project, sources)
    file.write_bytes(b"22")
    assert changes.have_changed(project, sources)


def test_a_remote_place_is_watched_too(project: Project, make_params: MakeParams) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/watched/a.png", b"1")
    sources = make_params({"sources": [{"type": "folder", "path": "memory://watched"}]}).sources
    changes.record(project, changes.state(project, sources))
    assert not changes.have_changed(project, sources)
    memory.pipe("/watched/b.png", b"1")
    assert changes.have_changed(project, sources)


@pytest.mark.parametrize(
    "pattern", ["tables/*.parquet", "tables/**/*.parquet", "file://{root}/tables/*.parquet", "memory://tables/*.parquet"]
)
def test_behind_a_pattern_a_file_that_comes_changes_or_goes_is_noticed(
    project: Project, make_params: MakeParams, pattern: str
) -> None:
    filesystem, folder = fsspec.filesystem("file"), f"{project.root}/tables"
    if pattern.startswith("memory"):
        filesystem, folder = fsspec.filesystem("memory"), "/tables"
    sources = make_params({"sources": [{"type": "parquet", "path": pattern.format(root=project.root)}]}).sources

    def changed() -> bool:
        answer = changes.have_changed(project, sources)
        changes.record(project, changes.state(project, sources))
        return answer

    filesystem.makedirs(folder, exist_ok=True)
    filesystem.pipe(f"{folder}/a.parquet", b"1")
    changes.record(project, changes.state(project, sources))
    assert not changed()
    filesystem.pipe(f"{folder}/notes.txt", b"not of the pattern")
    assert not changed()
    filesystem.pipe(f"{folder}/b.parquet", b"1")
    assert changed()
    filesystem.pipe(f"{folder}/b.parquet", b"22")
    assert changed()
    filesystem.rm(f"{folder}/a.parquet")
    assert changed()
    filesystem.rm(f"{folder}/b.parquet")
    assert changed()
    assert not changed()


def test_a_file_behind_a_link_is_watched(project: Project, make_params: MakeParams) -> None:
    (project.root / "v1.npz").write_bytes(b"1")
    (project.root / "images.npz").symlink_to("v1.npz")
    sources = make_params({"sources": [{"type": "npz", "path": "images.npz"}]}).sources
    changes.record(project, changes.state(project, sources))
    (project.root / "v1.npz").write_bytes(b"22")
    assert changes.have_changed(project, sources)


def test_a_place_that_keeps_its_listings_is_asked_again(
    project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    listings: dict[str, dict[str, Any]] = {}
    ask = memory.find
    monkeypatch.setattr(memory, "find", lambda path, **options: listings.setdefault(path, ask(path, **options)))
    monkeypatch.setattr(memory, "invalidate_cache", lambda path=None: listings.clear())
    memory.pipe("/kept/a.png", b"1")
    sources = make_params({"sources": [{"type": "folder", "path": "memory://kept"}]}).sources
    changes.record(project, changes.state(project, sources))
    memory.pipe("/kept/b.png", b"1")
    assert changes.have_changed(project, sources)


def test_what_cannot_be_known_is_taken_as_unchanged(project: Project, make_params: MakeParams) -> None:
    sources = make_params({"sources": [{"type": "npz", "path": "gone.npz"}]}).sources
    assert not changes.have_changed(project, sources)  # neither a record nor the file
    assert not changes.have_changed(project, make_params().sources)  # no record: made now
    assert changes.record_file(project).exists()
    assert not changes.have_changed(project, sources)


@pytest.mark.parametrize("path", ["/data/a.npz", "~/a.npz", "s3://bucket/a.npz", "file:///data/a.npz"])
def test_only_a_relative_path_is_below_the_root(tmp_path: Path, make_params: MakeParams, path: str) -> None:
    below = f"{tmp_path}/data/a.npz"
    for given, expected in ((path, path), ("data/a.npz", below), ("file://data/a.npz", below)):
        source = make_params({"sources": [{"type": "npz", "path": given}]}).sources[0].at(tmp_path)
        assert source.model_dump()["path"] == expected
