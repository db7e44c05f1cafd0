"""genloop import-feedback: a verdict on every row; good ones are kept, bad ones are listed, and twice is once."""

from __future__ import annotations

import base64
import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core import png
from pipelines.core.project import Project
from pipelines.feedback.sealed import uploads
from pipelines.feedback.store.event_store import EventCounts, EventStore
from tests.conftest import REPOSITORY
from tests.feedback.calls import call, imported, lines, numbers, rejects, stored

if TYPE_CHECKING:
    from pipelines.registry.client import Registry

pytestmark = pytest.mark.usefixtures("configured")

SAID = {"rater": "ann", "at": "2026-01-31T12:00:00Z"}
ROW = "ab" * 32


def vote(seed: int, **changes: Any) -> dict[str, Any]:
    return {**SAID, "id": f"v{seed}", "type": "vote", "sample": {"version": 3, "seed": seed, "label": 5}, "value": 1, **changes}


EACH = [
    vote(1),
    {**SAID, "id": "c", "type": "choice", "winner": {"version": 3, "seed": 1, "label": 5}, "loser": {"version": 3, "seed": 2}},
    {**SAID, "id": "l", "type": "label", "row": ROW, "label": 7},
    {**SAID, "id": "r", "type": "report", "sample": {"version": 3, "seed": 1, "label": 5}, "reason": 'a "face", mine'},
    {**SAID, "id": "rr", "type": "report", "row": ROW, "reason": ""},
    {**SAID, "id": "e", "type": "erase"},
]


def flat(record: dict[str, Any]) -> dict[str, Any]:
    """The columns of a record."""
    row = {key: value for key, value in record.items() if not isinstance(value, dict)}
    row |= record.get("sample", {})
    for side in ("winner", "loser"):
        row |= {f"{side}_{key}": value for key, value in record.get(side, {}).items()}
    return row


def table(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [flat(record) for record in records]
    columns = dict.fromkeys(key for row in rows for key in row)
    return [{**columns, **row} for row in rows]


def as_csv(path: str, records: list[dict[str, Any]]) -> None:
    rows = table(records)
    with Path(path).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_every_kind_of_file_says_the_same(configured: Project) -> None:
    Path("f.jsonl").write_text(lines(*EACH))
    Path("f.json").write_text(json.dumps(EACH, indent=1))
    as_csv("f.csv", EACH)
    pq.write_table(pa.Table.from_pylist(table(EACH)), "f.parquet")
    assert numbers(imported(configured, "f.jsonl")) == (6, 0, 0)
    assert sorted(stored(configured), key=lambda one: one["id"]) == sorted(EACH, key=lambda one: one["id"])
    for name in ("f.jsonl", "f.json", "f.csv", "f.parquet"):
        found = imported(configured, name)
        assert numbers(found) == (0, 6, 0)
        assert found["format"] == name.removeprefix("f.")
        assert found["rejects"] is None
    assert not list(Path().glob("*.rejected.jsonl"))


def test_without_ids_the_same_content_is_the_same_event_in_any_kind_of_file(configured: Project) -> None:
    nameless = [{key: value for key, value in record.items() if key != "id"} for record in EACH]
    Path("f.jsonl").write_text(lines(*nameless, nameless[0]))
    as_csv("f.csv", nameless)
    # Another order of keys and another way to write the same moment.
    Path("g.json").write_text(json.dumps([{**dict(reversed(r.items())), "at": "2026-01-31T13:00:00+01:00"} for r in nameless]))
    assert numbers(imported(configured, "f.jsonl")) == (6, 1, 0)
    assert numbers(imported(configured, "f.csv")) == (0, 6, 0)
    assert numbers(imported(configured, "g.json")) == (0, 6, 0)
    assert all(one["id"].startswith("import-") for one in stored(configured))


def test_good_rows_are_kept_and_bad_ones_are_listed_with_line_and_reason(configured: Project) -> None:
    bad = [vote(2, value=True), "{not json", vote(1, value=-1), [1], vote(4, extra=1), '{"id": "\\ud800"}']
    Path("f.jsonl").write_text(lines(vote(1), *bad, vote(3)))
    found = imported(configured, "f.jsonl")
    assert numbers(found) == (2, 0, 6)
    listed = rejects("f.jsonl")
    assert [one["line"] for one in listed] == [2, 3, 4, 5, 6, 7]
    reasons = ["wrong type", "not JSON", "same id with other content", "not a record", "unknown key", "unknown type"]
    assert [one["reason"] for one in listed] == reasons
    assert listed[0]["detail"] == "value: expected 1 or -1 (came True)"
    assert [one["record"] for one in listed] == [*bad[:5], {"id": "\ud800"}]
    assert found["rejected"] == dict.fromkeys(reasons, 1)
    assert found["rejects"] == str(Path("f.jsonl.rejected.jsonl").absolute())
    assert numbers(imported(configured, "f.jsonl")) == (0, 2, 6)
    assert rejects("f.jsonl") == listed
    assert sorted(one["id"] for one in stored(configured)) == ["v1", "v3"]


def test_what_was_rejected_once_and_is_good_now_is_listed_no_longer(configured: Project) -> None:
    Path("f.jsonl").write_text(lines(vote(1), vote(2, value=0)))
    imported(configured, "f.jsonl")
    Path("f.jsonl").write_text(lines(vote(1), vote(2)))
    assert numbers(imported(configured, "f.jsonl")) == (1, 1, 0)
    assert not Path("f.jsonl.rejected.jsonl").exists()


def test_the_summary_is_for_people(configured: Project) -> None:
    Path("f.jsonl").write_text(lines(vote(1), vote(1), vote(2, value=0), "x"))
    result = call(configured, "f.jsonl")
    assert result.code == 0
    assert [" ".join(line.split()) for line in result.out.splitlines()] == [
        "f.jsonl (jsonl): 4 rows",
        "1 stored",
        "1 known already",
        f"2 rejected, listed in {Path('f.jsonl.rejected.jsonl').absolute()}",
        "1 wrong value",
        "1 not JSON",
    ]


def test_a_file_without_any_usable_row_is_unusable_input(configured: Project) -> None:
    Path("f.jsonl").write_text(lines("a", "b"))
    found = imported(configured, "f.jsonl", code=2)
    assert numbers(found) == (0, 0, 2)
    assert "none of its 2 rows is usable" in call(configured, "f.jsonl").err
    Path("f.csv").write_text("type,rater,at\n")
    assert "f.csv: has no rows" in call(configured, "f.csv").err
    assert call(configured, "f.csv").code == 2


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("f.csv", "type;rater;at\nerase;ann;2026\n", "separated by another sign than a comma"),
        ("f.csv", "type,rater\nerase,ann\n", "no column 'at'; events have type, rater, at at least; columns here: type, rater"),
        ("f.csv", "type,rater,at,vlaue\n", "column 'vlaue' is not known; did you mean 'value'?"),
        ("f.csv", "type,rater,at,rater\n", "two columns have the name 'rater'"),
        ("f.csv", "", "the file is empty"),
        ("f.bin", "\0\1", "is binary"),
    ],
)
def test_a_file_that_is_unusable_as_a_whole_is_said(configured: Project, name: str, content: str, words: str) -> None:
    Path(name).write_text(content)
    result = call(configured, name)
    assert result.code == 2
    assert words in result.err
    assert len(result.err.splitlines()) == 1


def test_parquet_without_the_columns_of_events_is_unusable(configured: Project) -> None:
    pq.write_table(pa.table({"a": [1]}), "f.parquet")
    pq.write_table(pa.table({}), "g.parquet")
    assert "no column 'type'; events have type, rater, at at least; columns here: a" in call(configured, "f.parquet").err
    assert "columns here: none" in call(configured, "g.parquet").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["f.jsonl", "--format", "xlsx"], "--format: 'xlsx' is not known"),
        (["f.jsonl", "--at", "noon"], "--at noon: expected a date with a time zone"),
        (["f.jsonl", "--like", "a,b", "--dislike", "B"], "--like and --dislike both name 'b'"),
    ],
)
def test_a_mistake_in_the_arguments_is_said(configured: Project, arguments: list[str], words: str) -> None:
    Path("f.jsonl").write_text(lines(vote(1)))
    result = call(configured, *arguments)
    assert result.code == 2
    assert words in result.err


def test_numbers_of_a_table_may_have_been_floats_and_nothing_else_may(configured: Project) -> None:
    pq.write_table(
        pa.table(
            {
                "id": ["a", "b", "c", "d", "e"],
                "type": ["vote"] * 5,
                "rater": ["ann"] * 5,
                "at": pa.array([1769860800] * 5, pa.timestamp("s", "UTC")),
                "version": [3.0, 3.0, 3.5, float("nan"), None],
                "seed": [1, 2, 3, 4, 5],
                "value": [1, -1, 1, 1, 1],
            }
        ),
        "f.parquet",
    )
    assert numbers(imported(configured, "f.parquet")) == (2, 0, 3)
    assert [one["reason"] for one in rejects("f.parquet")] == ["wrong type", "wrong type", "missing key"]
    Path("f.csv").write_text(
        "type,rater,at,version,seed,value\n"
        + "".join(
            f"vote,ann,2026-01-31T12:00:00Z,3.0,1,{value}\n" for value in ("1", " 1 ", "-1.0", "+1", "1e0", "0.5", "true")
        )
    )
    assert numbers(imported(configured, "f.csv")) == (2, 2, 3)
    for content in ("vote,ann,2026-01-31 12:00,3,1,1", "vote,ann,,3,1,1", "=cmd(),ann,2026-01-31T12:00:00Z,3,1,1"):
        Path("f.csv").write_text(f"type,rater,at,version,seed,value\n{content}\n")
        assert numbers(imported(configured, "f.csv", code=2)) == (0, 0, 1)


def test_a_cell_that_does_not_belong_to_the_type_is_refused(configured: Project) -> None:
    Path("f.csv").write_text("type,rater,at,row,value\nerase,ann,2026-01-31T12:00:00Z,,1\n")
    imported(configured, "f.csv", code=2)
    assert rejects("f.csv")[0]["detail"] == "value: no such key in erase; known: id, type, rater, at"


def test_images_of_uploads_become_bytes_under_their_hash(configured: Project) -> None:
    pictures = [png.encode(np.full((8, 8, 1), grey, np.uint8)) for grey in range(3)]
    upload = {**SAID, "type": "upload", "label": 3}
    Path("export/images").mkdir(parents=True)
    Path("export/images/a.png").write_bytes(pictures[0])
    Path("secret.png").write_bytes(pictures[2])
    records = [
        {**upload, "image": "images/a.png"},
        {**upload, "image": base64.b64encode(pictures[1]).decode()},
        {**upload, "image": "../secret.png"},
        {**upload, "image": base64.b64encode(b"<html>" * 50).decode()},
        {**upload, "image": 7},
        {**upload},
        {**upload, "image": "images/a.png", "label": -1},
        {**vote(1), "image": "images/a.png"},
    ]
    Path("export/f.jsonl").write_text(lines(*records))
    found = imported(configured, "export/f.jsonl")
    assert numbers(found) == (2, 0, 6)
    assert found["rejected"] == {"unusable image": 2, "wrong type": 1, "missing key": 1, "wrong value": 1, "unknown key": 1}
    assert sorted(uploads.read(configured.uploads, one["image"]) for one in stored(configured)) == sorted(pictures[:2])
    assert len(list(configured.uploads.iterdir())) == 2
    assert numbers(imported(configured, "export/f.jsonl")) == (0, 2, 6)
    # What was exported from a store comes back to it.
    Path("f.jsonl").write_text(lines(*stored(configured)))
    assert numbers(imported(configured, "f.jsonl")) == (0, 2, 0)


def test_the_image_of_a_refused_upload_is_not_kept(configured: Project) -> None:
    pictures = [png.encode(np.full((8, 8, 1), grey, np.uint8)) for grey in range(2)]
    upload = {**SAID, "id": "u1", "type": "upload", "label": 3}
    for number, picture in enumerate(pictures):
        Path(f"{number}.jsonl").write_text(lines({**upload, "image": base64.b64encode(picture).decode()}))
    assert numbers(imported(configured, "0.jsonl")) == (1, 0, 0)
    assert imported(configured, "1.jsonl", code=2)["rejected"] == {"same id with other content": 1}
    assert [uploads.read(configured.uploads, path.name) for path in configured.uploads.iterdir()] == pictures[:1]
    assert numbers(imported(configured, "0.jsonl")) == (0, 1, 0)
    assert len(list(configured.uploads.iterdir())) == 1


def test_what_json_cannot_say_is_rejected_in_words(configured: Project) -> None:
    Path("f.jsonl").write_text('{"id": "n", "type": "vote", "value": NaN}\n')
    imported(configured, "f.jsonl", code=2)
    pq.write_table(pa.table({"type": ["vote"], "rater": ["ann"], "at": ["2026-01-31"], "value": [float("nan")]}), "g.parquet")
    imported(configured, "g.parquet", code=2)
    for name in ("f.jsonl", "g.parquet"):
        text = Path(f"{name}.rejected.jsonl").read_text()
        json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))


def test_the_limits_of_ingest_are_those_of_uploads(configured: Project) -> None:
    text = configured.params_file.read_text()
    configured.params_file.write_text(text.replace("max_side: 4096", "max_side: 7"))
    picture = base64.b64encode(png.encode(np.zeros((8, 8, 1), np.uint8))).decode()
    Path("f.jsonl").write_text(lines({**SAID, "type": "upload", "image": picture}))
    imported(configured, "f.jsonl", code=2)
    assert rejects("f.jsonl")[0]["detail"] == "image: side too long"


def test_a_folder_that_cannot_be_written_does_not_matter_where_every_row_is_good(configured: Project) -> None:
    Path("closed").mkdir()
    Path("closed/f.jsonl").write_text(lines(vote(1)))
    Path("closed").chmod(0o500)
    assert numbers(imported(configured, "closed/f.jsonl")) == (1, 0, 0)
    Path("closed").chmod(0o700)


@pytest.mark.slow
def test_a_kill_in_the_middle_of_an_import_and_again_is_as_if_nothing_had_happened(configured: Project) -> None:
    count = 30_000
    bad = set(range(0, count, 4000))
    Path("f.jsonl").write_text(lines(*(vote(number, value=0 if number in bad else 1) for number in range(count))))
    process = subprocess.Popen(
        [sys.executable, REPOSITORY / "genloop.py", "import-feedback", "--project", configured.root, "f.jsonl"],
        env=configured.environment,
        stdout=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    with EventStore.open(configured.database_url) as store:
        while not store.counts().new:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = store.counts().new
        assert 0 < before < count - len(bad)
        assert not Path("f.jsonl.rejected.jsonl").exists()
        assert numbers(imported(configured, "f.jsonl")) == (count - len(bad) - before, before, len(bad))
        assert store.counts() == EventCounts(count - len(bad), 0)
    assert [one["line"] for one in rejects("f.jsonl")] == [number + 1 for number in sorted(bad)]


def test_two_imports_of_one_file_at_once_store_each_event_once(configured: Project) -> None:
    Path("f.jsonl").write_text(lines(*(vote(number) for number in range(5000)), "bad"))
    command = [sys.executable, REPOSITORY / "genloop.py", "import-feedback", "--project", configured.root, "f.jsonl", "--json"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, env=configured.environment) for _ in range(3)]
    found = [json.loads(process.communicate()[0]) for process in processes]
    assert sum(one["stored"] for one in found) == 5000
    assert all(one["stored"] + one["known"] == 5000 for one in found)
    assert len(rejects("f.jsonl")) == 1
    assert not list(Path().glob(".*.partial"))


def test_events_about_versions_that_the_registry_does_not_have_are_named(configured: Project, registry: Registry) -> None:
    """`registry` has versions 1 to 9. All events are stored: the version may be in another registry, or come later."""
    choice = {**SAID, "type": "choice", "winner": {"version": 12, "seed": 1}, "loser": {"version": 11, "seed": 1}}
    report = {**SAID, "type": "report", "sample": {"version": 12, "seed": 3}}
    known, unknown = ({"version": version, "seed": 1} for version in (9, 10))
    Path("f.jsonl").write_text(lines(vote(1), vote(2, sample=known), vote(3, sample=unknown), choice, report, EACH[2]))
    for counts in ((6, 0, 0), (0, 6, 0)):
        found = imported(configured, "f.jsonl")
        assert numbers(found) == counts
        assert found["notes"] == [
            f"events that are about no version of {registry.name!r}: 1 about version 10, 1 about version 11, "
            "2 about version 12; its versions are 1, 2, 3, 4, 5, 6, 7, 8, 9, and a fold cannot generate their images"
        ]
    assert "events that are about no version of" in call(configured, "f.jsonl").out
    Path("f.jsonl").write_text(lines(vote(5), EACH[2]))
    assert imported(configured, "f.jsonl")["notes"] == []


def test_many_unknown_versions_are_counted_and_a_few_are_named(configured: Project, registry: Registry) -> None:
    Path("f.jsonl").write_text(lines(*(vote(seed, sample={"version": 100 + seed, "seed": 1}) for seed in range(7))))
    (note,) = imported(configured, "f.jsonl")["notes"]
    assert "1 about version 104, …; its versions are" in note
    assert "105" not in note


def test_versions_are_not_checked_where_there_is_no_registry_or_it_does_not_answer(configured: Project) -> None:
    Path("f.jsonl").write_text(lines(vote(1)))
    assert imported(configured, "f.jsonl")["notes"] == []
    far = configured.with_variables({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert imported(far, "f.jsonl")["notes"] == []
    (configured.root / "mlflow.db").write_text("no database")
    (note,) = imported(configured, "f.jsonl")["notes"]
    assert note.startswith("versions are not checked: ")


def test_what_a_damaged_parquet_file_lost_is_counted(configured: Project) -> None:
    rows = [{**flat(vote(seed)), "id": f"{seed}" * 20} for seed in range(3000)]
    pq.write_table(pa.Table.from_pylist(rows), "f.parquet", row_group_size=1000, compression="gzip", use_dictionary=False)
    place = pq.read_metadata("f.parquet").row_group(1).column(0).data_page_offset
    content = bytearray(Path("f.parquet").read_bytes())
    content[place + 60 : place + 400] = b"\xff" * 340
    Path("f.parquet").write_bytes(content)
    found = imported(configured, "f.parquet")
    assert (found["rows"], found["rejected"]) == (3000, {"not Parquet": 3000 - found["stored"]})
    assert [one["line"] for one in rejects("f.parquet")] == list(range(found["stored"] + 1, 3001))
