"""Files that are often taken for feedback: the message names what the file is, and what to import instead."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core.project import Project
from tests.feedback.calls import call, imported, lines, numbers, rejects, stored

pytestmark = pytest.mark.usefixtures("configured")

VOTE = {"type": "vote", "rater": "ann", "at": "2026-01-31T12:00:00Z", "sample": {"version": 3, "seed": 17}, "value": 1}
# As label-studio-converter writes them.
JSON_MIN = {
    "image": "https://x/1.png", "version": 3, "seed": 17, "id": 1, "judgement": "like", "annotator": 4, "annotation_id": 9,
    "created_at": "2026-01-30T12:00:00Z", "updated_at": "2026-01-31T12:00:00Z", "lead_time": 2.5,
}  # fmt: skip
ARGILLA_1_TEXT = {
    "id": "r", "text": "x", "inputs": {"text": "x"}, "prediction": None, "prediction_agent": None, "annotation": "like",
    "annotation_agent": "ann", "metadata": {"version": 3, "seed": 17}, "status": "Validated", "event_timestamp": None,
}  # fmt: skip
ARGILLA_1_ROW = {
    "image": "x", "question": [{"user_id": "u1", "value": "like", "status": "submitted"}], "question-suggestion": None,
    "external_id": "e", "metadata": '{"version": 3, "seed": 17}',
}  # fmt: skip
COCO = {
    "info": {},
    "images": [{"id": 1, "file_name": "1.png"}],
    "categories": [],
    "annotations": [{"id": 1, "bbox": [1, 2, 3, 4]}],
}


def refused(project: Project, name: str, *arguments: str) -> str:
    """The message, of one line; nothing is stored, and nothing is written beside the file."""
    result = call(project, name, *arguments)
    assert (result.code, result.out) == (2, ""), result.err
    assert len(result.err.splitlines()) == 1
    assert stored(project) == []
    assert not Path(f"{name}.rejected.jsonl").exists()
    return result.err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "f.json",
            "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n",
            "a git-lfs pointer, not the file itself",
        ),
        ("f.parquet", "version https://git-lfs.github.com/spec/v1\n", "fetch the file with `git lfs pull`"),
        ("._f.csv", b"\0\x05\x16\x07\0\2\0\0Mac OS X", "an AppleDouble file of macOS, which holds no data"),
        ("f.json", gzip.compress(b"[]", mtime=0), "a gzip archive; unpack it"),
        ("f.jsonl.gz", gzip.compress(b"{}", mtime=0), "a gzip archive; unpack it"),
        ("f.json", b"BZh91AY&SY", "a bzip2 archive; unpack it"),
        ("f.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(20), "an old workbook of Excel; save each sheet as CSV"),
        ("f.json", b"SQLite format 3\0" + bytes(20), "an SQLite database; export the answers from the tool"),
        ("f.json", "<!DOCTYPE html>\n<html><body>Sign in</body></html>", "a web page, often one that asks to log in"),
        ("f.csv", "\ufeff\n  <HTML><title>502 Bad Gateway</title>", "a web page"),
        ("f.xml", '<?xml version="1.0"?><annotations><version>1.1</version>', "XML, as CVAT and Pascal VOC export it"),
        ("f.json", "<annotations><image/></annotations>", "XML, as CVAT"),
        ("f.png", b"\x89PNG\r\n\x1a\n", "a PNG image; an upload is an event with the path of its image"),
        (
            "f.json",
            '{"detail": "Authentication credentials were not provided."}',
            "an error message of a server, and no export",
        ),
        ("f.json", '{"status_code": 401, "error": "x", "version": "1.9", "detail": "Invalid token."}', "an error message of a"),
    ],
)
def test_a_file_that_cannot_hold_feedback_is_named(configured: Project, name: str, content: str | bytes, words: str) -> None:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert words in refused(configured, name)
    assert words in refused(configured, name, "--format", "csv" if name.endswith("csv") else "json")


def test_a_zip_is_an_archive_or_a_workbook(configured: Project) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("export.json", "[]")
    for name in ("f.zip", "f.json", "f.xlsx"):
        Path(name).write_bytes(content.getvalue())
        assert "a zip archive; unpack it, and import what is in it. If it is a workbook of Excel" in refused(configured, name)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (JSON_MIN, "Label Studio's JSON_MIN or CSV, which does not say what is an answer; choose the format JSON"),
        ({**JSON_MIN, "agreement": 1.0, "judgement": [{"rating": 4}]}, "Label Studio's JSON_MIN"),
        (
            {"id": 1, "data": {"version": 3}, "predictions": []},
            "tasks of Label Studio without annotations; choose the format JSON",
        ),
        (ARGILLA_1_TEXT, "records of Argilla 1 (text classification), without the raters' ids; install `argilla>=2`"),
        ({"items": [{"fields": {}, "responses": []}], "total": 1}, "a page of records as Argilla's server sends it"),
        (ARGILLA_1_ROW, "rows of a FeedbackDataset of Argilla 1"),
        (COCO, "COCO JSON, which holds boxes or outlines in images, and not what people like"),
        ({"version": 0, "tags": [], "shapes": [{"type": "rectangle"}], "tracks": []}, "an export of CVAT"),
        ({"info": {}, "categories": {}, "items": [{"id": "1", "annotations": []}]}, "an export of CVAT (Datumaro)"),
        ({"asset": {"name": "1.png"}, "regions": [], "version": "2.2.0"}, "an export of VoTT"),
        ({"name": "p", "securityToken": "t", "assets": {}, "tags": []}, "an export of VoTT"),
        ({"version": "5.0.1", "flags": {}, "shapes": [], "imagePath": "1.png"}, "an annotation of LabelMe"),
        ({"data_row": {"id": "1"}, "projects": {}}, "an export of Labelbox"),
    ],
)
def test_an_export_that_is_not_read_is_named_with_the_one_to_choose(configured: Project, record: Any, words: str) -> None:
    Path("f.json").write_text(json.dumps([record, record], indent=1))
    Path("g.json").write_text(json.dumps(record))
    Path("f.jsonl").write_text("\ufeff" + lines(record, record))
    for name in ("f.json", "g.json", "f.jsonl"):
        assert words in refused(configured, name)
    assert words in refused(configured, "f.json", "--format", "label-studio")
    assert words in refused(configured, "f.json", "--format", "argilla")


def test_coco_that_is_too_large_for_one_record_is_named(configured: Project) -> None:
    Path("f.json").write_text(json.dumps({**COCO, "annotations": [{"segmentation": "x" * 2**24}]}))
    assert "COCO JSON" in refused(configured, "f.json")


@pytest.mark.parametrize(("name", "sign"), [("f.csv", ","), ("f.tsv", "\t"), ("f.csv", "\t"), ("f.txt", "\t"), ("f.csv", ";")])
def test_label_studio_s_tables_are_named_whatever_separates_their_columns(configured: Project, name: str, sign: str) -> None:
    with Path(name).open("w", newline="") as file:
        writer = csv.DictWriter(file, sorted(JSON_MIN), delimiter=sign, quoting=csv.QUOTE_NONNUMERIC)
        writer.writeheader()
        writer.writerow(JSON_MIN)
    assert "Label Studio's JSON_MIN or CSV" in refused(configured, name)


def test_tables_of_events_with_tabs_or_with_other_columns_are_told_what_is_wrong(configured: Project) -> None:
    Path("f.tsv").write_text("type\trater\tat\nerase\tann\t2026-01-31T12:00:00Z\n")
    assert "separated by another sign than a comma; save it with commas" in refused(configured, "f.tsv")
    pq.write_table(pa.Table.from_pylist([ARGILLA_1_ROW]), "f.parquet")
    assert "rows of a FeedbackDataset of Argilla 1" in refused(configured, "f.parquet")
    pq.write_table(pa.table({"image": [b"x"], "label": [1]}), "g.parquet")
    assert "no column 'type'; events have type, rater, at at least; columns here: image, label" in refused(
        configured, "g.parquet"
    )


def test_events_are_never_taken_for_something_else(configured: Project) -> None:
    """Whatever other keys a record has: a key that events do not have is its own fault."""
    Path("f.jsonl").write_text("\ufeff" + lines(VOTE, {**VOTE, "external_id": 1, "metadata": {}}))
    assert numbers(imported(configured, "f.jsonl")) == (1, 0, 1)
    assert rejects("f.jsonl")[0]["reason"] == "unknown key"


def test_a_record_that_is_of_no_known_kind_is_told_which_keys_it_has(configured: Project) -> None:
    Path("f.json").write_text(json.dumps([{"rating": 5, "who": "ann"}]))
    imported(configured, "f.json", code=2)
    assert rejects("f.json")[0]["detail"].endswith("; came None; the record has ['rating', 'who']")
