"""The rows that an external trainer gets, the folder's content, and the prompts of classes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.external import content, data, job
from pipelines.scoring import approval
from pipelines.settings.manifest import ExternalManifest
from tests.contracts import pictures, write_feedback, write_rows
from tests.external import folders

CLASSES = ("left", "middle", "right")


@pytest.fixture
def filled(project: Project) -> Project:
    """Row 3 is removed by feedback, row 4 has another label, row 5 none, row 6 counts half; row 9 is held out."""
    labels = [None if number == 5 else number % 3 for number in range(30)]
    splits = ["holdout" if number == 9 else "train" for number in range(30)]
    write_rows(project.clean, pictures(30, 8, 1), labels, CLASSES, splits=splits)
    changes = [{"row_id": f"{3:064d}", "removed": True}, {"row_id": f"{4:064d}", "label": 2, "removed": False}]
    write_feedback(project.curated, changes, classes=CLASSES)
    project.approval.mkdir(parents=True)
    approval.write_weights(approval.weights_file(project.approval), np.array([f"{6:064d}"]), np.array([0.5]), np.array([0.5]))
    return project


def manifest(**changes: object) -> ExternalManifest:
    return ExternalManifest.model_validate({**folders.MANIFEST, **changes})


def test_parquet_has_what_feedback_made_of_the_rows(filled: Project, make_params, tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "mine")
    rows = data.export(filled, folders.params_of(make_params, folder), manifest(), tmp_path / "export")
    assert (rows.count, rows.unlabelled, rows.classes, rows.present) == (27, 1, list(CLASSES), [0, 1, 2])
    table = pq.read_table(tmp_path / "export").to_pylist()
    by_number = {int(row["row_id"]): row for row in table}
    assert by_number.keys() == set(range(30)) - {3, 5, 9}
    assert (by_number[4]["label"], by_number[6]["weight"], by_number[7]["weight"]) == (2, 0.5, 1.0)
    assert {(row["split"], row["origin"], row["generation"]) for row in table} == {("train", "real", 0)}
    assert Image.open(io.BytesIO(table[0]["image"]["bytes"])).size == (8, 8)
    (part,) = (tmp_path / "export").glob("part-*.parquet")
    features = json.loads(pq.read_schema(part).metadata[b"huggingface"])["info"]["features"]
    assert features.keys() == {*data.COLUMNS}
    assert features["label"]["names"] == list(CLASSES)
    assert "events" not in pq.read_schema(part).names


def test_files_have_a_table_beside_them(filled: Project, make_params, tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "mine", data="files")
    data.export(filled, folders.params_of(make_params, folder), manifest(data="files"), tmp_path / "export")
    with (tmp_path / "export/rows.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 27
    line = lines[3]
    assert {key: line[key] for key in ("file", "label", "class", "weight", "split")} == {
        "file": f"images/{4:064d}.png",
        "label": "2",
        "class": "right",
        "weight": "1.0",
        "split": "train",
    }
    assert Image.open(tmp_path / "export" / line["file"]).size == (8, 8)


def test_a_model_without_classes_gets_all_rows_and_no_labels(filled: Project, make_params, tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "mine", condition="none")
    rows = data.export(filled, folders.params_of(make_params, folder), manifest(condition="none"), tmp_path / "export")
    assert (rows.count, rows.unlabelled, rows.classes) == (28, 0, [])
    assert set(pq.read_table(tmp_path / "export")["label"].to_pylist()) == {None}


def test_rows_that_are_there_are_not_written_again(filled: Project, make_params, tmp_path: Path) -> None:
    params = folders.params_of(make_params, folders.write(tmp_path / "mine"))
    first = data.export(filled, params, manifest(), tmp_path / "export")
    (part,) = (tmp_path / "export").iterdir()
    before = part.stat()
    again = data.export(filled, params, manifest(), tmp_path / "export")
    assert (again.count, again.unlabelled, again.present) == (first.count, first.unlabelled, first.present)
    np.testing.assert_array_equal(again.sample.images, first.sample.images)
    assert part.stat() == before


def test_too_few_rows_leave_no_folder(filled: Project, make_params, tmp_path: Path) -> None:
    params = folders.params_of(make_params, folders.write(tmp_path / "mine"), {"train.batch_size": 28})
    with pytest.raises(InputError, match=r"27 rows to train on \(1 more have no label\), fewer than train.batch_size: 28"):
        data.export(filled, params, manifest(), tmp_path / "export")
    assert [path.name for path in tmp_path.iterdir() if "export" in path.name] == []


def test_hidden_files_and_bytecode_are_no_content(tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "mine")
    before = content.digest(folder)
    for name in (".venv/lib/large.py", ".hidden", "__pycache__/a.pyc", "b.pyc", "part/.git/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert content.digest(folder) == before
    (folder / "part/more.py").write_text("1")
    assert content.digest(folder) != before
    content.copy(folder, tmp_path / "copy")
    assert content.digest(tmp_path / "copy") == content.digest(folder)
    assert sorted(content.hashes(tmp_path / "copy")) == ["manifest.yaml", "part/more.py", "sampler.py", "train.py"]


def test_a_folder_that_no_version_can_carry_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folders.write(tmp_path / "mine")
    (folder / "base.bin").write_bytes(bytes(3_000_000))
    monkeypatch.setattr(content, "MOST_BYTES", 2_000_000)
    with pytest.raises(InputError, match=r"have 3 MB, expected at most 2 MB, .*the largest is base.bin with 3 MB"):
        content.check(folder)
    (folder / "base.bin").unlink()
    (folder / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match="link: a link to a folder, or to nothing; a version carries files"):
        content.check(folder)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        (None, {"left": "left", "right": "right"}),
        ("a photo of a {name}", {"left": "a photo of a left", "right": "a photo of a right"}),
        ({"left": "hello", "default": "the {name}"}, {"left": "hello", "right": "the right"}),
        ({"left": "hello"}, {"left": "hello", "right": "right"}),
    ],
)
def test_each_class_has_a_prompt(prompt: object, expected: dict[str, str]) -> None:
    assert job.prompts(manifest(condition="prompts", prompt=prompt), ["left", "right"]) == expected


def test_there_are_no_prompts_where_none_are_asked_for_and_one_where_there_are_no_classes() -> None:
    assert job.prompts(manifest(), ["left"]) is None
    assert job.prompts(manifest(condition="prompts", prompt="a photo of a {name}"), []) == {"default": "a photo of a"}
