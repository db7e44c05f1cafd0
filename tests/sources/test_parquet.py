"""parquet: Hugging Face's layout and plain columns of bytes; a wrong column is said by its name."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.core import shards
from pipelines.core.errors import InputError
from pipelines.sources.parquet import Parquet

IMAGES = [{"bytes": bytes([number]), "path": f"{number}.png"} for number in range(4)]
STRUCT = pa.array(IMAGES, shards.IMAGE)


def saved(path: Path, columns: dict[str, Any], names: list[str] | None = None, **options: Any) -> Path:
    table = pa.table(columns)
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def source(path: Path | str, **settings: Any) -> Parquet:
    return Parquet(type="parquet", path=str(path), **settings)


def read(path: Path | str, **settings: Any) -> list[tuple[bytes | None, int | None]]:
    return [(item.image, item.label) for item in source(path, **settings).items()]


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
    assert source(path).classes() == ["0", "1", "2"]


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
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
        ({"picture": STRUCT, "label": LABELS}, {}, "no column 'image' with images; there are: picture, label"),
        ({"image": pa.array(["a.png"] * 4)}, {}, "image: expected encoded images, .* came string"),
        ({"image": pa.array([[0, 1]] * 4)}, {}, "image: expected encoded images, .* came list"),
        ({"image": pa.array([{"path": "a"}] * 4)}, {}, "image: expected encoded images, .* came struct"),
        ({"image": STRUCT, "label": pa.array(["cat"] * 4)}, {}, "label: expected whole numbers as labels, came string"),
        ({"image": STRUCT, "label": pa.array([0.0] * 4)}, {}, "label: expected whole numbers as labels, came double"),
        (
            {"image": STRUCT, "label": pa.array([0, 1, -1, 0])},
            {},
            "label: labels must not be negative, but row 2 has -1",
        ),
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
    with pytest.raises(InputError, match="expected labels from 0 to 1, but row 2 has 7"):
        read(path)


def test_folders_and_patterns_are_read_in_order(tmp_path: Path) -> None:
    for number in (2, 0, 1):
        columns = {"image": STRUCT.slice(number, 1), "label": pa.array([number])}
        saved(tmp_path / f"deep/part-{number}.parquet", columns)
    (tmp_path / "deep/readme.txt").write_text("hello")
    expected = [(bytes([number]), number) for number in range(3)]
    assert read(tmp_path) == expected
    assert read(tmp_path / "deep/part-*.parquet") == expected
    assert read(tmp_path / "deep/part-[12].parquet") == expected[1:]
    assert source(tmp_path).classes() == ["0", "1", "2"]


def test_urls_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.parquet", {"image": STRUCT, "label": LABELS})
    for name in ("0", "1"):
        fsspec.filesystem("memory").pipe_file(f"/tables/{name}.parquet", path.read_bytes())
    assert read(f"file://{path}") == EXPECTED
    assert read("memory://tables/0.parquet") == EXPECTED
    assert read("memory://tables/*.parquet") == read("memory://tables") == EXPECTED * 2


def test_what_is_no_parquet_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("hello")
    whole = saved(tmp_path / "whole.parquet", {"image": STRUCT}).read_bytes()
    (tmp_path / "cut.parquet").write_bytes(whole[:-20])
    garbled = bytearray(whole)
    garbled[4:60] = bytes(56)
    (tmp_path / "garbled.parquet").write_bytes(garbled)
    for name in ("text", "cut", "garbled"):
        with pytest.raises(InputError, match=f"{name}.parquet: not a whole Parquet file"):
            read(tmp_path / f"{name}.parquet")
    for name, words in {
        "none.parquet": "nothing there",
        "*.none": "no Parquet files",
        "nowhere/": "nothing there",
    }.items():
        with pytest.raises(InputError, match=words):
            read(tmp_path / name)


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
