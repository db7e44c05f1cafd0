"""parquet: Hugging Face's layout and plain columns of bytes; a wrong column is said by its name."""

from __future__ import annotations

import json
import math
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import ingest
from pipelines.core import png, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.sources.parquet import Parquet
from tests.conftest import MakeParams

IMAGES = [{"bytes": bytes([number]), "path": f"{number}.png"} for number in range(4)]
STRUCT = pa.array(IMAGES, shards.IMAGE)


def saved(path: Path, columns: dict[str, Any], names: list[str] | None = None, **options: Any) -> Path:
    table = pa.table(columns)
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = with_metadata(table, features)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def with_metadata(table: pa.Table, features: Any) -> pa.Table:
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def source(path: Path | str, **settings: Any) -> Parquet:
    return Parquet(type="parquet", path=str(path), **settings)


def read(path: Path | str, **settings: Any) -> list[tuple[bytes | None, int | None]]:
    return [(item.image, item.label) for item in source(path, **settings).items()]


def pairs(path: Path | str, **settings: Any) -> list[tuple[int | None, str | None]]:
    """The content of each image, a number, with the name of its class."""
    opened = source(path, **settings)
    classes = opened.classes()
    return [(item.image and item.image[0], None if item.label is None else classes[item.label]) for item in opened.items()]


EXPECTED = [(bytes([number]), label) for number, label in enumerate([0, 1, 1, None])]
LABELS = pa.array([0, 1, 1, None])


def test_names_come_from_the_metadata(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": LABELS}, ["cat", "dog", "owl"])
    assert source(path).classes() == ["cat", "dog", "owl"]
    assert read(path) == EXPECTED
    assert [item.path for item in source(path).items()] == ["0.png", "1.png", "2.png", "3.png"]


def test_names_come_from_a_column_else(tmp_path: Path) -> None:
    named = {"image": STRUCT, "label": LABELS, "label_name": pa.array(["cat", "dog", "dog", None])}
    assert source(saved(tmp_path / "a.parquet", named)).classes() == ["cat", "dog"]


def test_names_are_numbers_else(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array([0, 2, 2, None], pa.int8())})
    assert pairs(path) == [(0, "0"), (1, "2"), (2, "2"), (3, None)]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_columns_of_bytes_and_of_any_name_are_taken(tmp_path: Path, kind: pa.DataType) -> None:
    pixels = pa.array([image["bytes"] for image in IMAGES], kind)
    path = saved(tmp_path / "a.parquet", {"picture": pixels, "kind": LABELS})
    assert read(path, image="picture", label="kind") == EXPECTED
    assert [item.path for item in source(path, image="picture").items()][2] == "a.parquet[2]"


@pytest.mark.parametrize("columns", [{"image": STRUCT}, {"image": STRUCT, "label": pa.nulls(4)}])
def test_without_labels_nothing_is_labelled(tmp_path: Path, columns: dict[str, Any]) -> None:
    path = saved(tmp_path / "a.parquet", columns)
    assert source(path).classes() == []
    assert {label for _, label in read(path)} == {None}


def test_a_cell_without_an_image_is_refused(tmp_path: Path) -> None:
    images = pa.array([IMAGES[0], {"bytes": None, "path": "/etc/passwd"}, {"bytes": None, "path": None}, None], shards.IMAGE)
    found = list(source(saved(tmp_path / "a.parquet", {"image": images})).items())
    assert [item.refused for item in found] == [None, "only a path, no image", "no image", "no image"]
    assert [item.image for item in found[1:]] == [None] * 3


@pytest.mark.parametrize(
    ("columns", "settings", "words"),
    [
        ({"picture": pa.array(["a"] * 4), "label": LABELS}, {}, "no column 'image' with images; there are: picture, label"),
        (
            {"left": STRUCT, "right": STRUCT},
            {},
            "no column 'image' with images; but several that hold images: left, right. Name yours: `image: ...`",
        ),
        ({"image": pa.array(["a.png"] * 4)}, {}, "image: expected encoded images, .* came string"),
        ({"image": pa.array([[0, 1]] * 4)}, {}, "image: expected encoded images, .* came list"),
        ({"image": pa.array([{"path": "a"}] * 4)}, {}, "image: expected encoded images, .* came struct"),
        ({"image": STRUCT, "label": STRUCT}, {}, "a.parquet: label: expected numbers or names as labels, came struct"),
        (
            {"image": STRUCT, "label": pa.array([0, 1, -2, 0])},
            {},
            "a.parquet: label: row 2 has the label -2; expected a name or",
        ),
        (
            {"image": STRUCT, "label": pa.array([0, 1, 0.5, 0])},
            {},
            "a.parquet: label: row 2 has the label 0.5; expected a name or",
        ),
        ({"image": STRUCT, "label": pa.array([2**40, 1, 0, 0])}, {}, "row 0 has the label 1099511627776; .* from 0 to 99999"),
        ({"image": STRUCT, "label": pa.array([[0], [1, 2], [], [0]])}, {}, "label: row 1 has 2 labels; expected one, or none"),
        ({"image": STRUCT, "label": LABELS}, {"label": "kind"}, "no column 'kind' for labels; there are: image, label"),
    ],
)
def test_what_cannot_be_used_is_said_by_name(
    tmp_path: Path, columns: dict[str, Any], settings: dict[str, str], words: str
) -> None:
    path = saved(tmp_path / "a.parquet", columns)
    with pytest.raises(InputError, match=words):
        read(path, **settings)


def test_a_label_beyond_the_names_is_said_with_its_row(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array([0, 1, 7, 0])}, ["cat", "dog"])
    with pytest.raises(InputError, match=r"label: row 2 has the label 7, which has no name .* expected one of 0, 1, or null"):
        read(path)


def test_folders_and_patterns_are_read_in_order(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        columns = {"image": STRUCT.slice(number, 1), "label": pa.array([number])}
        saved(tmp_path / f"deep/part-{number}.parquet", columns)
    (tmp_path / "deep/readme.txt").write_text("hello")
    expected = [(number, str(number)) for number in range(3)]
    assert pairs(tmp_path) == expected
    assert pairs(tmp_path / "deep/part-*.parquet") == expected
    assert pairs(tmp_path / "deep/part-[12].parquet") == expected[1:]
    assert source(tmp_path).classes() == ["0", "1", "2"]


def test_urls_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": LABELS})
    for name in ("0", "1"):
        fsspec.filesystem("memory").pipe_file(f"/tables/{name}.parquet", path.read_bytes())
    assert read(f"file://{path}") == EXPECTED
    assert read("memory://tables/0.parquet") == EXPECTED
    assert read("memory://tables/*.parquet") == read("memory://tables") == EXPECTED * 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a git-lfs pointer, .* `git lfs pull`"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ", "an AppleDouble file of macOS, which holds no data; delete it"),
        (b"", "expected a Parquet file, came an empty file"),
        (b"image,label\na.png,0\n", "expected a Parquet file, came a CSV file"),
        (b'{"image": "a.png"}\n', "expected a Parquet file, came a JSON file"),
        (b"<!DOCTYPE html><title>Sign in</title>", "came an HTML or XML page"),
        (b"hello", "expected a Parquet file, came a text file"),
        (random.Random(0).randbytes(500), "came something else"),
    ],
)
def test_what_is_no_parquet_file_is_said(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(InputError, match=f"a.parquet: .*{words}"):
        read(tmp_path / "a.parquet")


def test_arrow_files_are_called_so(tmp_path: Path) -> None:
    table = pa.table({"image": STRUCT})
    with pa.ipc.new_file(tmp_path / "a.feather", table.schema) as file:
        file.write_table(table)
    with pa.ipc.new_stream(tmp_path / "a.arrow", table.schema) as stream:
        stream.write_table(table)
    with pytest.raises(InputError, match="came an Arrow or Feather file; make Parquet of it"):
        read(tmp_path / "a.feather")
    with pytest.raises(InputError, match="came an Arrow stream, as `datasets` keeps it; make Parquet of it"):
        read(tmp_path / "a.arrow")
    with pytest.raises(InputError, match=r"no Parquet files there, but a.arrow, a.feather"):
        read(tmp_path)


def test_columns_of_one_name_are_said(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([STRUCT, STRUCT], ["image", "image"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a.parquet: more than one column is named 'image'; expected different names"):
        read(tmp_path)


def test_text_that_is_no_text_is_said(tmp_path: Path) -> None:
    buffers = pa.array([b"cat", b"\xff", b"dog", b""]).buffers()
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.Array.from_buffers(pa.string(), 4, buffers)})
    with pytest.raises(InputError, match=r"a.parquet: text in it is not UTF-8"):
        read(path)


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    whole = saved(tmp_path / "whole.parquet", {"image": STRUCT}).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    garbled = bytearray(whole)
    garbled[4:60] = bytes(56)
    (tmp_path / "garbled.parquet").write_bytes(garbled)
    for name in ("cut", "garbled"):
        with pytest.raises(InputError, match=f"{name}.parquet: not a whole Parquet file, but cut short or damaged"):
            read(tmp_path / f"{name}.parquet")


def test_a_place_without_files_is_said(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"image": STRUCT})
    for name, words in {
        "none.parquet": "nothing there",
        "*.none": "no Parquet files",
        "nowhere/*.parquet": "nothing there",
    }.items():
        with pytest.raises(InputError, match=words):
            read(tmp_path / name)


def test_files_without_rows_are_passed_over(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"unnamed": pa.nulls(0)})
    with pytest.raises(InputError, match=r"no rows in a.parquet; expected rows with images"):
        read(tmp_path)
    saved(tmp_path / "b.parquet", {"image": STRUCT, "label": LABELS}, ["cat", "dog"])
    assert pairs(tmp_path) == NAMED


NAMED = [(0, "cat"), (1, "dog"), (2, "dog"), (3, None)]


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["cat", "dog", "dog", None]),
        pa.array(["cat", "dog", "dog", " "], pa.large_string()),
        pa.array(["cat", "dog", "dog", None]).dictionary_encode(),  # as pandas keeps a Categorical
        pa.array([["cat"], ["dog"], ["dog"], []]),
        pa.array(["cat", "dog", "dog", None]).cast(pa.string_view()),
    ],
)
def test_labels_that_are_names_are_the_classes(tmp_path: Path, labels: pa.Array) -> None:
    assert pairs(saved(tmp_path / "a.parquet", {"image": STRUCT, "label": labels})) == NAMED


@pytest.mark.parametrize("last", [None, math.nan, -1])
def test_floats_are_numbers_and_a_missing_one_is_no_label(tmp_path: Path, last: float | None) -> None:
    columns = {"image": STRUCT, "label": pa.array([0, 1, 1, last], pa.float64())}
    assert pairs(saved(tmp_path / "a.parquet", columns)) == [(0, "0"), (1, "1"), (2, "1"), (3, None)]
    assert pairs(saved(tmp_path / "b.parquet", columns, ["cat", "dog"])) == NAMED


def test_truth_values_are_names(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array([True, False, None, True])})
    assert pairs(path) == [(0, "True"), (1, "False"), (2, None), (3, "True")]


def test_minus_one_is_no_label(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array([-1, 0, 3, -1], pa.int8())})
    assert pairs(path) == [(0, None), (1, "0"), (2, "3"), (3, None)]


@pytest.mark.parametrize(
    "feature",
    [
        {"names": ["cat", "dog"], "_type": "ClassLabel"},
        {"num_classes": 2, "names": {"0": "cat", "1": "dog"}, "_type": "ClassLabel"},
        {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "length": 1, "_type": "Sequence"},
        {"dtype": {"class_label": {"names": {"1": "dog", "0": "cat"}}}},
        [{"names": ["cat", "dog"], "_type": "ClassLabel"}],
    ],
)
@pytest.mark.parametrize("as_list", [False, True])
def test_names_are_found_in_every_form_of_the_metadata(tmp_path: Path, feature: Any, as_list: bool) -> None:
    for_label = [{"name": "label", **feature}] if as_list and isinstance(feature, dict) else {"label": feature}
    columns = pa.table({"image": STRUCT, "label": LABELS})
    pq.write_table(with_metadata(columns, for_label), tmp_path / "a.parquet")
    assert pairs(tmp_path / "a.parquet") == NAMED


# Four images of cats and dogs in each of two files, whatever numbers the files use.
FORMS: dict[str, tuple[dict[str, Any], list[str] | None]] = {
    "metadata": ({"label": LABELS}, ["cat", "dog"]),
    "metadata in another order": ({"label": pa.array([1, 0, 0, None])}, ["dog", "cat"]),
    "metadata with more names": ({"label": pa.array([2, 1, 1, -1])}, ["owl", "dog", "cat"]),
    "label_name": ({"label": pa.array([7, 3, 3, None]), "label_name": pa.array(["cat", "dog", "dog", None])}, None),
    "label_name alone": ({"label_name": pa.array(["cat", "dog", "dog", None])}, None),
    "both": ({"label": pa.array([1, 0, 0, -1]), "label_name": pa.array(["cat", "dog", "dog", "unlabelled"])}, ["dog", "cat"]),
    "strings": ({"label": pa.array(["cat", "dog", "dog", None])}, None),
}


@pytest.mark.parametrize("first", FORMS)
@pytest.mark.parametrize("second", FORMS)
def test_each_file_has_names_of_its_own(tmp_path: Path, first: str, second: str) -> None:
    for name, form in (("a", first), ("b", second)):
        columns, names = FORMS[form]
        saved(tmp_path / f"{name}.parquet", {"image": STRUCT, **columns}, names)
    assert pairs(tmp_path) == NAMED * 2


def test_more_names_in_a_later_file_join(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"image": STRUCT, "label": LABELS}, ["cat", "dog"])
    saved(tmp_path / "b.parquet", {"image": STRUCT, "label": pa.array([0, 1, 2, 2])}, ["owl", "dog", "newt"])
    saved(tmp_path / "c.parquet", {"image": STRUCT, "label": pa.array(["ant", "cat", "owl", None])})
    assert source(tmp_path).classes() == ["cat", "dog", "owl", "newt", "ant"]
    assert [name for _, name in pairs(tmp_path)] == [
        *("cat", "dog", "dog", None), *("owl", "dog", "newt", "newt"), *("ant", "cat", "owl", None)
    ]  # fmt: skip


def test_a_file_without_labels_joins_any_other(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array([-1, None, -1, -1])})
    saved(tmp_path / "b.parquet", {"image": STRUCT, "label": LABELS}, ["cat", "dog"])
    saved(tmp_path / "c.parquet", {"image": STRUCT})
    assert pairs(tmp_path) == [*((number, None) for number in range(4)), *NAMED, *((number, None) for number in range(4))]


def test_names_that_are_the_numbers_match_them(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array([10, 2, 1, None])})
    saved(tmp_path / "b.parquet", {"image": STRUCT, "label": LABELS}, ["0", "1", "2"])
    saved(tmp_path / "c.parquet", {"image": STRUCT, "label": pa.array(["2", "10", None, "0"])})
    assert source(tmp_path).classes() == ["0", "1", "2", "10"]
    assert [name for _, name in pairs(tmp_path)] == ["10", "2", "1", None, "0", "1", "1", None, "2", "10", None, "0"]


@pytest.mark.parametrize("named", list(FORMS))
def test_names_and_mere_numbers_do_not_mix(tmp_path: Path, named: str) -> None:
    columns, names = FORMS[named]
    for a, b in (("a", "b"), ("d", "c")):
        folder = tmp_path / a
        saved(folder / f"{a}.parquet", {"image": STRUCT, **columns}, names)
        saved(folder / f"{b}.parquet", {"image": STRUCT, "label": pa.array([5, 1, 1, None])})
        with pytest.raises(InputError, match=rf"{b}.parquet has labels without names, such as \d, but .*{a}.parquet names its"):
            source(folder).classes()


def test_names_in_another_order_than_their_numbers_do_not_match_mere_numbers(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"image": STRUCT, "label": LABELS}, ["1", "0"])
    saved(tmp_path / "b.parquet", {"image": STRUCT, "label": LABELS})
    with pytest.raises(InputError, match=r"b.parquet has labels without names, such as 0, but .*a.parquet .* such as '1'"):
        source(tmp_path).classes()


@pytest.mark.parametrize(
    ("label", "label_name", "names", "words"),
    [
        (
            [0, 1, 1, 0],
            ["cat", "dog", "dog", "dog"],
            ["cat", "dog"],
            "label: row 3 has 0, which is 'cat', but 'dog' in label_name",
        ),
        ([0, 1, 1, 0], ["cat", "dog", "cat", "cat"], None, "label: row 2 has 1, which is 'dog', but 'cat' in label_name"),
        ([0, 1, None, 0], ["cat", "dog", "dog", "cat"], None, "label: row 2 has no label, but 'dog' in label_name"),
        ([0, 1, 2, 0], ["cat", "dog", "cat", "cat"], None, "label_name: labels 0 and 2 are both named 'cat'"),
        ([0, 1, 2, 0], ["cat", "dog", None, "cat"], None, "label 2 has no name in label_name, where others have one"),
        ([0, 1, 2, 0], None, ["cat", "dog", "cat"], "metadata: labels 0 and 2 are both named 'cat'"),
    ],
)
def test_a_file_that_contradicts_itself_stops(
    tmp_path: Path, label: list[int | None], label_name: list[str | None] | None, names: list[str] | None, words: str
) -> None:
    named = {"label_name": pa.array(label_name)} if label_name else {}
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array(label), **named}, names)
    with pytest.raises(InputError, match=f"a.parquet.*{words}"):
        read(path)


def test_the_only_column_of_images_and_the_only_class_label_are_found(tmp_path: Path) -> None:
    table = pa.table({"id": pa.array(["a", "b", "c", "d"]), "img": STRUCT, "fine": LABELS})
    features = {"img": {"_type": "Image"}, "fine": {"names": ["cat", "dog"], "_type": "ClassLabel"}}
    pq.write_table(with_metadata(table, features), tmp_path / "a.parquet")
    assert pairs(tmp_path / "a.parquet") == NAMED
    assert source(tmp_path).not_read() == ["columns not read: id; only images, labels and splits are"]


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    columns = {"image": STRUCT, "mask": STRUCT, "caption": pa.array(["a"] * 4)}
    table = pa.table({**columns, "fine_label": LABELS, "coarse_label": pa.array([0, 0, 0, None])})
    names = {"fine_label": {"names": ["cat", "dog"]}, "coarse_label": {"names": ["animal"]}}
    pq.write_table(with_metadata(table, names), tmp_path / "a.parquet")
    assert source(tmp_path).not_read() == [
        "labels not read: coarse_label, fine_label; to have one: `label: NAME`",
        "images not read: mask; to have them too: one more entry of `sources`, with `image: NAME`",
        "columns not read: caption; only images, labels and splits are",
    ]
    assert pairs(tmp_path) == [(number, None) for number in range(4)]
    assert pairs(tmp_path, label="fine_label") == NAMED
    assert [name for _, name in pairs(tmp_path, label="coarse_label")] == ["animal", "animal", "animal", None]
    assert source(tmp_path, label="fine_label", image="mask").not_read()[:2] == [
        "labels not read: coarse_label; to have one: `label: NAME`",
        "images not read: image; to have them too: one more entry of `sources`, with `image: NAME`",
    ]


@pytest.mark.parametrize("name", ["labels", "y", "Class", "category"])
def test_a_column_that_looks_like_labels_is_named(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, name: LABELS})
    assert source(path).not_read() == [f"labels not read: {name}; to have one: `label: NAME`"]


def test_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    saved(tmp_path / "data/a.parquet", {"image": STRUCT})
    saved(tmp_path / "data/_delta_log/1.parquet", {"add": LABELS})
    saved(tmp_path / "elsewhere/b.parquet", {"image": STRUCT})
    (tmp_path / "data/._a.parquet").write_bytes(b"\x00\x05\x16\x07")
    (tmp_path / "data/_SUCCESS").touch()
    (tmp_path / "data/README.md").write_text("hello")
    (tmp_path / "data/more").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "data", f"file://{tmp_path}/data"):
        opened = source(path)
        assert [image for image, _ in read(path)] == [bytes([number]) for number in range(4)]
        assert opened.not_read() == [
            "files not read: README.md, more; only those that end in .parquet are, and links to folders are not followed",
            "hidden files not read: ._a.parquet, _SUCCESS, _delta_log/1.parquet",
        ]
        assert opened.left_out() == {"hidden files": 3}


def test_splits_are_told_by_files_folders_and_a_column(tmp_path: Path) -> None:
    for name in (
        "a/train-00000-of-00001.parquet", "b/cifar10-Test.parquet", "data/validation/0000.parquet", "d/train_test.parquet",
        "e/latest.parquet",
    ):  # fmt: skip
        saved(tmp_path / name, {"image": STRUCT.slice(0, 1)})
    saved(tmp_path / "f/test.parquet", {"image": STRUCT, "split": pa.array(["train", "holdout", None, "dev"])})
    found = [(item.path, item.split) for item in source(tmp_path).items()]
    assert [split for _, split in found] == ["train", "test", None, "validation", None, "train", "test", "test", "validation"]


def test_the_place_itself_names_no_split(tmp_path: Path) -> None:
    saved(tmp_path / "test/a.parquet", {"image": STRUCT})
    assert {item.split for item in source(tmp_path / "test").items()} == {None}
    assert {item.split for item in source(tmp_path / "*/a.parquet").items()} == {"test"}


def test_a_file_that_comes_while_reading_waits_for_the_next_run(tmp_path: Path) -> None:
    saved(tmp_path / "b.parquet", {"image": STRUCT, "label": pa.array(["cat", "dog", "dog", None])})
    opened = source(tmp_path)
    classes = opened.classes()
    saved(tmp_path / "a.parquet", {"image": STRUCT, "label": pa.array(["ant"] * 4)})
    assert [None if item.label is None else classes[item.label] for item in opened.items()] == ["cat", "dog", "dog", None]


def test_rows_are_counted_without_reading_them(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"image": STRUCT})
    saved(tmp_path / "b.parquet", {"image": STRUCT})
    assert source(tmp_path).size_hint() == 8
    fsspec.filesystem("memory").pipe_file("/counted/a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert source("memory://counted").size_hint() is None


def test_every_row_of_every_file_is_kept_or_refused(project: Project, make_params: MakeParams) -> None:
    colours = [png.encode(np.full((8, 8, 3), number, np.uint8)) for number in range(4)]
    cells = [{"bytes": content, "path": None} for content in colours]
    folder = project.root / "tables"
    whole = pa.array([*cells, {"bytes": b"hello", "path": None}, {"bytes": None, "path": "a.png"}], shards.IMAGE)
    saved(folder / "a.parquet", {"image": whole, "label": pa.array([0, 1, 1, None, 0, 0])}, ["cat", "dog"])
    saved(folder / "b.parquet", {"image": pa.array(cells, shards.IMAGE), "label": pa.array([1, 0, 0, -1])}, ["dog", "cat"])
    saved(project.root / "more.parquet", {"image": pa.array(cells[:2], shards.IMAGE), "label": pa.array(["owl", "dog"])})
    ingest.run(
        project,
        make_params({"sources": [{"type": "parquet", "path": path} for path in ("tables/*.parquet", "more.parquet")]}),
    )
    report = reports.read(project.reports, "ingest")
    files = [*folder.glob("*.parquet"), project.root / "more.parquet"]
    assert report["rows_in"] == sum(pq.read_metadata(file).num_rows for file in files) == 12
    assert report["refused"] == {"not an image": 1, "only a path, no image": 1}
    classes = shards.classes(project.raw)
    rows = [row for batch in shards.read(project.raw) for row in batch.to_pylist()]
    found = [
        (colours.index(row["image"]["bytes"]), None if row["label"] is None else classes[row["label"]], row["source"])
        for row in rows
    ]
    assert found == [*((*pair, "parquet-0") for pair in NAMED * 2), (0, "owl", "parquet-1"), (1, "dog", "parquet-1")]


def test_a_row_group_is_not_read_at_once(tmp_path: Path) -> None:
    images = pa.array([{"bytes": bytes(100_000), "path": None}] * 1000, shards.IMAGE)  # 100 MB
    path = saved(tmp_path / "a.parquet", {"image": images}, compression="none", use_dictionary=False, write_batch_size=16)
    before = pa.total_allocated_bytes()
    tracemalloc.start()  # sees what the file gives to Arrow
    used = [pa.total_allocated_bytes() - before for _ in source(path).items()]
    assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    tracemalloc.stop()
    assert len(used) == 1000
    assert max(used) < 60 * 2**20


def test_cifar10_is_read(real_data: Callable[[str], Path]) -> None:
    path = real_data("cifar10-test.parquet")
    assert source(path).classes()[:3] == ["airplane", "automobile", "bird"]
    assert sum(1 for _ in source(path).items()) == 10_000


def test_names_have_no_blanks_around_wherever_they_come_from(tmp_path: Path) -> None:
    saved(tmp_path / "a.parquet", {"image": STRUCT, "label": LABELS}, ["cat ", "dog\n"])
    names = pa.array(["dog\t", " cat", "cat", " "])
    saved(tmp_path / "b.parquet", {"image": STRUCT, "label": LABELS, "label_name": names})
    saved(tmp_path / "c.parquet", {"image": STRUCT, "label": pa.array(["cat\n", "dog ", " ", "c\nat"])})
    assert pairs(tmp_path / "a.parquet") == [(0, "cat"), (1, "dog"), (2, "dog"), (3, None)]
    assert pairs(tmp_path / "b.parquet") == [(0, "dog"), (1, "cat"), (2, "cat"), (3, None)]
    assert pairs(tmp_path / "c.parquet") == [(0, "cat"), (1, "dog"), (2, None), (3, "c at")]
    assert source(tmp_path).classes() == ["cat", "dog", "c at"]


@pytest.mark.parametrize(
    ("columns", "settings", "words"),
    [
        ({"image": STRUCT}, {"image": "img"}, "no column 'img'; the one that holds images is image: `image: image`"),
        (
            {"left": STRUCT, "right": STRUCT},
            {"image": "img"},
            "no column 'img' with images; but several that hold images: left",
        ),
        ({"a": LABELS}, {"image": "img"}, "no column 'img' with images; there are: a"),
        ({"image": STRUCT, "label": pa.array([[0], [1, 2], [0], []])}, {}, "row 1 has 2 labels; .*`label: NAME`.*keep one"),
    ],
)
def test_what_is_wrong_with_a_column_is_said_with_a_remedy(
    tmp_path: Path, columns: dict[str, Any], settings: dict[str, str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        read(saved(tmp_path / "a.parquet", columns), **settings)
