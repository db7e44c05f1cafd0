"""The manifest says what data/feedback must hold, at the cost of what is new."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest
from pipelines.feedback.sealed.manifest import Manifest


def write(folder: Path, name: str, values: Sequence[int]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"a": list(values)}), folder / name)
    return folder / name


@pytest.fixture
def two(project: Project) -> Manifest:
    write(project.feedback, "events-a.parquet", range(3))
    write(project.feedback, "images-a.parquet", range(2))
    return manifest.update(project.feedback, project.manifest)


def test_without_a_file_it_is_empty(project: Project) -> None:
    assert manifest.read(project.manifest) == Manifest()
    assert manifest.missing_files(project.feedback, project.manifest) == []
    assert (
        manifest.update(project.feedback, project.manifest) == manifest.check(project.feedback, project.manifest) == Manifest()
    )
    assert json.loads(project.manifest.read_text()) == {"files": {}, "forgotten": []}


def test_it_lists_what_there_is(project: Project, two: Manifest) -> None:
    assert list(two.files) == ["events-a.parquet", "images-a.parquet"]
    assert two.files["events-a.parquet"].rows == 3
    assert two.files["events-a.parquet"].sha256 == files.sha256(project.feedback / "events-a.parquet")
    assert (two.batches, two.events) == (["a"], 3)
    assert manifest.check(project.feedback, project.manifest) == manifest.read(project.manifest) == two


def test_batches_that_are_known_are_left_out_of_what_is_beyond_them(project: Project, two: Manifest) -> None:
    write(project.feedback, "events-b.parquet", range(5))
    now = manifest.update(project.feedback, project.manifest)
    assert (now.events_outside([]), now.events_outside(["a"]), now.events_outside(["a", "b", "gone"])) == (8, 5, 0)


def test_only_what_is_new_is_read(project: Project, two: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    write(project.feedback, "events-b.parquet", range(1))
    read: list[str] = []
    digest = files.sha256
    monkeypatch.setattr(files, "sha256", lambda path: read.append(path.name) or digest(path))
    assert len(manifest.update(project.feedback, project.manifest).files) == 3
    assert read == ["events-b.parquet"]
    assert manifest.update(project.feedback, project.manifest).batches == ["a", "b"]
    assert len(read) == 1


def test_what_is_listed_stays_as_it_was_unless_it_was_rewritten_on_purpose(project: Project, two: Manifest) -> None:
    write(project.feedback, "events-a.parquet", range(2))
    with pytest.raises(GenloopError, match=r"1 of the files .* the first is events-a.parquet; `dvc pull`"):
        manifest.update(project.feedback, project.manifest)
    assert manifest.read(project.manifest) == two
    assert manifest.update(project.feedback, project.manifest, rewritten=["events-a.parquet"]).events == 2
    (project.feedback / "images-a.parquet").unlink()
    with pytest.raises(GenloopError, match=r"images-a\.parquet"):
        manifest.update(project.feedback, project.manifest)
    assert list(manifest.update(project.feedback, project.manifest, rewritten={"images-a.parquet"}).files) == [
        "events-a.parquet"
    ]


def test_who_was_forgotten_stays_forgotten(project: Project, two: Manifest) -> None:
    assert manifest.update(project.feedback, project.manifest, forgotten=["b" * 64, "a" * 64]).forgotten == ["a" * 64, "b" * 64]
    assert manifest.update(project.feedback, project.manifest, forgotten=["a" * 64]).forgotten == ["a" * 64, "b" * 64]
    assert manifest.update(project.feedback, project.manifest).files == two.files


def test_a_fresh_clone_is_told_to_pull(project: Project, two: Manifest) -> None:
    for path in project.feedback.iterdir():
        path.unlink()
    assert manifest.missing_files(project.feedback, project.manifest) == list(two.files)
    with pytest.raises(GenloopError, match="`dvc pull` brings back what a remote has"):
        manifest.check(project.feedback, project.manifest)


def test_other_bytes_are_seen(project: Project, two: Manifest) -> None:
    write(project.feedback, "events-a.parquet", [7, 7, 7])
    assert manifest.missing_files(project.feedback, project.manifest) == []
    with pytest.raises(GenloopError, match="missing or damaged"):
        manifest.check(project.feedback, project.manifest)


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n{}", "[]", '{"files": {"a": 1}, "forgotten": []}', '{"files": {}}', "null"])
def test_what_no_fold_has_written_is_said_with_the_remedy(project: Project, text: str) -> None:
    project.manifest.parent.mkdir()
    project.manifest.write_text(text)
    with pytest.raises(InputError, match=r"data/feedback\.json: not what a fold writes .* git checkout"):
        manifest.read(project.manifest)
