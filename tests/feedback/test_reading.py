"""Files as records: every kind, and every way in which one can be broken."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.feedback.imports import columns, json_text
from pipelines.feedback.imports.base import Format, ImportFile, Record, recognise
from pipelines.feedback.imports.lines import LINE_BYTES

RECORDS = [{"a": 1, "b": "x"}, {"a": 2, "b": 'ü,"\n'}, {"a": 3, "b": None}]


def read(path: Path, content: str | bytes | None = None, kind: str | None = None) -> list[tuple[int, Any]]:
    """(line, record) of each; in place of one that cannot be read, its reason."""
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [(one.line, one.fault.reason if one.fault else one.content) for one in records(path, kind)]


def records(path: Path, kind: str | None = None) -> Iterator[Record]:
    reader, file = opened(path, kind)
    return reader.records(file)


def opened(path: Path, kind: str | None = None) -> tuple[Format, ImportFile]:
    file = ImportFile.open(path)
    return catalogue.get(catalogue.IMPORTS, kind or recognise(file))(), file


def lines(records: list[Any]) -> str:
    return "".join(f"{json.dumps(record)}\n" for record in records)


def unusable(path: Path, content: str | bytes, words: str, kind: str | None = None) -> None:
    with pytest.raises(InputError, match=words):
        read(path, content, kind)


@pytest.mark.parametrize("name", ["f.jsonl", "f.ndjson", "f.JSONL", "f.txt", "f"])
def test_json_lines(project: Project, name: str) -> None:
    assert read(project.root / name, lines(RECORDS)) == [(1, RECORDS[0]), (2, RECORDS[1]), (3, RECORDS[2])]


def test_a_prompt_in_a_table_stays_the_text_that_it_is() -> None:
    row = {"type": "vote", "version": "3", "seed": "17", "label": "", "prompt": "42", "value": "1"}
    assert columns.nest(row) == {"type": "vote", "sample": {"version": 3, "seed": 17, "prompt": "42"}, "value": 1}
    pair = {"type": "choice", "winner_version": 3.0, "winner_seed": 1.0, "winner_prompt": "1.0", "loser_label": 2.0}
    expected = {"winner": {"version": 3, "seed": 1, "prompt": "1.0"}, "loser": {"label": 2}}
    assert columns.nest(pair) == {"type": "choice", **expected}


def test_json_lines_with_a_mark_blank_lines_and_no_end(project: Project) -> None:
    content = "\ufeff" + lines(RECORDS[:1]) + "\n  \r\n" + json.dumps(RECORDS[1])
    assert read(project.root / "f.jsonl", content) == [(1, RECORDS[0]), (4, RECORDS[1])]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("name", ["f.json", "f.jsonl", "f"])
def test_a_json_list(project: Project, name: str, indent: int | None) -> None:
    content = json.dumps(RECORDS, indent=indent, ensure_ascii=False)
    assert read(project.root / name, content) == [(1, RECORDS[0]), (2, RECORDS[1]), (3, RECORDS[2])]


def test_json_values_one_after_the_other(project: Project) -> None:
    content = json.dumps(RECORDS[0], indent=2) + "\n" + json.dumps(RECORDS[1])
    assert read(project.root / "f.json", content) == [(1, RECORDS[0]), (2, RECORDS[1])]
    assert read(project.root / "f.json", "[]") == []
    assert read(project.root / "f.json", "[ ]\n") == []


def test_a_list_of_any_size_is_read_in_parts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a part ends: in a word, in a character, in a number."""
    content = json.dumps(RECORDS * 3, ensure_ascii=False)
    whole = read(project.root / "f.json", content)
    for chunk in range(1, 40):
        monkeypatch.setattr(json_text, "CHUNK", chunk)
        assert read(project.root / "f.json") == whole


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(project: Project) -> None:
    def peak(path: Path) -> int:
        tracemalloc.start()
        count = sum(1 for _ in records(path))
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 100_000
        return highest

    row = {"id": "x" * 100, "value": 1}
    (project.root / "f.jsonl").write_text(lines([row]) * 100_000)
    (project.root / "f.json").write_text("[" + ",".join([json.dumps(row)] * 100_000) + "]")
    (project.root / "f.csv").write_text("id,value\n" + f"{row['id']},1\n" * 100_000)
    for name in ("f.jsonl", "f.json", "f.csv"):
        assert peak(project.root / name) < 4 * 2**20 < (project.root / name).stat().st_size, name


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": NaN}', "not JSON"),
        (b'{"a": -Infinity}', "not JSON"),
        (b'{"a": 1', "not JSON"),
        (b"{'a': 1}", "not JSON"),
        (b'{"a": 1} {"a": 2}', "not JSON"),
        (b'{"a": ' + b"9" * 100_000 + b"}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": "\xe4"}', "not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a": "' + b"x" * LINE_BYTES + b'"}', "too long"),
    ],
)
def test_a_bad_line_of_json_costs_itself_alone(project: Project, line: bytes, reason: str) -> None:
    content = b'{"a": 1}\n' + line + b'\n{"a": 3}\n'
    assert read(project.root / "f.jsonl", content) == [(1, {"a": 1}), (2, reason), (3, {"a": 3})]
    assert read(project.root / "f.jsonl", b'{"a": 1}\n' + line) == [(1, {"a": 1}), (2, reason)]


@pytest.mark.parametrize(
    ("rest", "reason"),
    [
        (b"", "not JSON"),
        (b",", "not JSON"),
        (b', {"a": ', "not JSON"),
        (b', {"a": NaN}]', "not JSON"),
        (b' {"a": 2}]', "not JSON"),
        (b', {"a": "\xe4"}]', "not UTF-8"),
        (b", " + b"[" * 100_000, "not JSON"),
        (b"] x", "not JSON"),
    ],
)
def test_a_broken_list_is_read_up_to_there(project: Project, monkeypatch: pytest.MonkeyPatch, rest: bytes, reason: str) -> None:
    monkeypatch.setattr(json_text, "CHUNK", 16)
    found = read(project.root / "f.json", b'[{"a": 1}' + rest)
    assert found == [(1, {"a": 1}), (2, reason)]


def test_a_record_of_a_list_that_is_too_long_ends_the_reading(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "CHUNK", 16)
    monkeypatch.setattr(json_text, "RECORD_CHARACTERS", 1000)
    found = read(project.root / "f.json", json.dumps([{"a": "x" * 900}, {"a": "x" * 5000}, {"a": 1}]))
    assert found == [(1, {"a": "x" * 900}), (2, "too long")]


def test_csv(project: Project) -> None:
    content = '\ufeffa, b\r\n1,x\r\n\r\n2,"ü,""\nz"\r\n3,\r\n'
    expected = [(2, {"a": "1", "b": "x"}), (4, {"a": "2", "b": 'ü,"\nz'}), (6, {"a": "3", "b": ""})]
    assert read(project.root / "f.csv", content) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", "not CSV"),
        (b"1,2,3", "not CSV"),
        (b'1,"x"y', "not CSV"),
        (b'1,"never closed', "not CSV"),
        (b"1,\xe4", "not UTF-8"),
        (b"1," + b"x" * LINE_BYTES, "too long"),
    ],
)
def test_a_bad_line_of_csv_costs_itself_alone(project: Project, line: bytes, reason: str) -> None:
    content = b"a,b\n1,x\n" + line + b'\n3,"z"\n4,w\n'
    expected = [(2, {"a": "1", "b": "x"}), (3, reason), (4, {"a": "3", "b": "z"}), (5, {"a": "4", "b": "w"})]
    assert read(project.root / "f.csv", content) == expected
    assert read(project.root / "f.csv", b"a,b\n1,x\n" + line) == expected[:2]


def test_a_line_that_is_no_text_within_quotation_marks_costs_the_lines_of_its_row(project: Project) -> None:
    found = read(project.root / "f.csv", b'a,b\n1,"x\n\xe4\n"\n2,y\n')
    assert [line for line, _ in found] == [2, 3, 4, 5]
    assert found[-1] == (5, {"a": "2", "b": "y"})


def test_parquet(project: Project) -> None:
    pq.write_table(pa.Table.from_pylist(RECORDS), project.root / "f.parquet", row_group_size=2)
    (project.root / "f").write_bytes((project.root / "f.parquet").read_bytes())
    for name in ("f.parquet", "f"):
        assert read(project.root / name) == [(1, RECORDS[0]), (2, RECORDS[1]), (3, RECORDS[2])]
        reader, file = opened(project.root / name)
        assert reader.columns(file) == ["a", "b"]


def test_a_parquet_file_that_is_damaged_within_is_read_up_to_there(project: Project) -> None:
    path = project.root / "f.parquet"
    rows = [{"a": f"{number:06d}" * 10} for number in range(5000)]
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1000, compression="gzip", use_dictionary=False)
    place = pq.read_metadata(path).row_group(3).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[place + 60 : place + 400] = b"\xff" * 340
    path.write_bytes(content)
    found = read(path)
    assert 1000 <= len(found) < 5001
    assert found[-1][1] == "not Parquet"


def test_a_file_that_is_none_at_all_is_unusable(project: Project) -> None:
    with pytest.raises(InputError, match=r"f\.jsonl: no such file"):
        read(project.root / "f.jsonl")
    with pytest.raises(InputError, match="is not a file"):
        read(project.root)
    for empty in (b"", b" \n\n"):
        unusable(project.root / "f.jsonl", empty, "the file is empty")
    unusable(project.root / "f.jsonl", b"\x00\x01\x02\x03" * 10, "is binary; expected JSON lines")
    unusable(project.root / "f.csv", b"a,b\n\0,1\n", "is binary")
    unusable(project.root / "f", b"\x7fELF\0\0\0", "is binary")
    unusable(project.root / "f.txt", b"hello\n", r"give --format, or a name that ends in \.jsonl")
    unusable(project.root / "f.parquet", b"a,b\n1,2\n", "not a whole Parquet file")
    unusable(project.root / "f.csv", b"PAR1 and no more", "not a whole Parquet file")
    unusable(project.root / "f.csv", b"\xe4,b\n1,2\n", "no header that can be read: not UTF-8")
    unusable(project.root / "f.csv", b'"a,b', "no header that can be read: not CSV")
    for encoding in ("utf-16", "utf-16-be", "utf-32"):
        mark = "\ufeff" if encoding.endswith("be") else ""
        unusable(
            project.root / "f.csv", f"{mark}a,b\n1,2\n".encode(encoding), f"is in {encoding[:6].upper()}; save it as UTF-8"
        )


def test_a_kind_that_is_asked_for_is_used(project: Project) -> None:
    assert read(project.root / "f.txt", "a,b\n1,2\n", "csv") == [(2, {"a": "1", "b": "2"})]
    unusable(project.root / "f.txt", "a,b\n1,2\n", "not a whole Parquet file", "parquet")


def test_how_much_has_been_read_is_said(project: Project) -> None:
    (project.root / "f.jsonl").write_text(lines(RECORDS * 10))
    done = [record.done for record in records(project.root / "f.jsonl")]
    assert done == sorted(done)
    assert done[-1] == 1
