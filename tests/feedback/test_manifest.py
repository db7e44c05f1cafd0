"""The manifest says what data/feedback must hold, at the cost of what is new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core import files, paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.feedback.sealed import manifest
from pipelines.feedback.sealed.manifest import Manifest

FOLDER = paths.FEEDBACK


def write(name: str, values: Sequence[int]) -> Path:
    FOLDER.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": list(values)}), FOLDER / name)
    return FOLDER / name


@pytest.fixture
def two(project: Path) -> Manifest:
    write("events-a.parquet", range(3))
    write("images-a.parquet", range(2))
    return manifest.update()


def test_without_a_file_it_is_empty(project: Path) -> None:
    assert manifest.read() == Manifest()
    assert manifest.missing() == []
    assert manifest.update() == manifest.check() == Manifest()
    assert json.loads(paths.MANIFEST.read_text()) == {"files": {}, "forgotten": []}


def test_it_lists_what_there_is(two: Manifest) -> None:
    assert list(two.files) == ["events-a.parquet", "images-a.parquet"]
    assert two.files["events-a.parquet"].rows == 3
    assert two.files["events-a.parquet"].sha256 == files.sha256(FOLDER / "events-a.parquet")
    assert (two.batches, two.events) == (["a"], 3)
    assert manifest.check() == manifest.read() == two


def test_batches_that_are_known_are_left_out_of_what_is_beyond_them(two: Manifest) -> None:
    write("events-b.parquet", range(5))
    now = manifest.update()
    assert (now.beyond([]), now.beyond(["a"]), now.beyond(["a", "b", "gone"])) == (8, 5, 0)


def test_only_what_is_new_is_read(two: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    write("events-b.parquet", range(1))
    read: list[str] = []
    digest = files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: read.append(path.name) or digest(path))
    assert len(manifest.update().files) == 3
    assert read == ["events-b.parquet"]
    assert manifest.update().batches == ["a", "b"]
    assert len(read) == 1


def test_what_is_listed_stays_as_it_was_unless_it_was_rewritten_on_purpose(two: Manifest) -> None:
    write("events-a.parquet", range(2))
    with pytest.raises(GenloopError, match=r"1 of the files .* the first is events-a.parquet; `dvc pull`"):
        manifest.update()
    assert manifest.read() == two
    assert manifest.update(rehash=["events-a.parquet"]).events == 2
    (FOLDER / "images-a.parquet").unlink()
    with pytest.raises(GenloopError, match=r"images-a\.parquet"):
        manifest.update()
    assert list(manifest.update(rehash={"images-a.parquet"}).files) == ["events-a.parquet"]


def test_who_was_forgotten_stays_forgotten(two: Manifest) -> None:
    assert manifest.update(forgotten=["b" * 64, "a" * 64]).forgotten == ["a" * 64, "b" * 64]
    assert manifest.update(forgotten=["a" * 64]).forgotten == ["a" * 64, "b" * 64]
    assert manifest.update().files == two.files


def test_a_fresh_clone_is_told_to_pull(two: Manifest) -> None:
    for path in FOLDER.iterdir():
        path.unlink()
    assert manifest.missing() == list(two.files)
    with pytest.raises(GenloopError, match="`dvc pull` brings back what a remote has"):
        manifest.check()


def test_other_bytes_are_seen(two: Manifest) -> None:
    write("events-a.parquet", [7, 7, 7])
    assert manifest.missing() == []
    with pytest.raises(GenloopError, match="missing or damaged"):
        manifest.check()


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}", "[]", '{"files": {"a": 1}, "forgotten": []}', '{"files": {}}', "null"])
def test_what_no_fold_has_written_is_said_with_the_remedy(project: Path, text: str) -> None:
    paths.MANIFEST.parent.mkdir()
    paths.MANIFEST.write_text(text)
    with pytest.raises(InputError, match=r"data/feedback\.json: not what a fold writes .* git checkout"):
        manifest.read()
