"""Shards: immutable, named by their content, whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines.core import files, rows, shards
from pipelines.core.errors import InputError
from tests.contracts import pictures, write_rows


def row(number: int, size: int = 10) -> dict[str, Any]:
    image = {"bytes": bytes([number % 256]) * size, "path": f"{number}.png"}
    return {"image": image, "label": None, "row_id": f"{number}", "source": "s", "origin": "real", "generation": 0,
            "weight": 1.0, "events": [], "split": None, "source_split": None}  # fmt: skip


def fill(folder: Path, numbers: range, size: int = 10) -> None:
    with shards.ShardWriter(folder, classes=["a", "b"]) as writer:
        for number in numbers:
            writer.add(row(number, size))


def test_rows_come_back_in_order_with_the_names_of_their_classes(tmp_path: Path) -> None:
    fill(tmp_path, range(5000))
    read = [identity for batch in shards.read(tmp_path) for identity in batch["row_id"].to_pylist()]
    assert read == [str(number) for number in range(5000)]
    assert shards.count(tmp_path) == 5000
    assert shards.classes(tmp_path) == ["a", "b"]


def test_the_same_rows_make_the_same_shard_and_others_another(tmp_path: Path) -> None:
    for name, numbers in (("a", range(10)), ("b", range(10)), ("c", range(11))):
        fill(tmp_path / name, numbers)
    assert shards.digest(tmp_path / "a") == shards.digest(tmp_path / "b") != shards.digest(tmp_path / "c")


def test_a_shard_that_is_full_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 1_000_000)
    fill(tmp_path, range(8000), size=500)
    assert len(shards.list_files(tmp_path)) > 2
    assert shards.count(tmp_path) == 8000


def test_taking_single_rows_reads_across_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    fill(tmp_path, range(5000))
    order = [int(i) for batch in shards.read(tmp_path) for i in batch["row_id"].to_pylist()]
    taken = shards.take(tmp_path, [4999, 0, 2100])
    assert taken == {place: bytes([order[place] % 256]) * 10 for place in (0, 2100, 4999)}


def test_a_writer_that_fails_leaves_no_shard(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), shards.ShardWriter(tmp_path) as writer:
        for number in range(5000):
            writer.add(row(number))
        raise RuntimeError
    with pytest.raises(InputError, match="no shards"):
        shards.list_files(tmp_path)


def test_labels_are_written_anew_with_all_else_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_BYTES", 1)
    with shards.ShardWriter(tmp_path, classes=["a", "b", "c"]) as writer:
        for number in range(5000):
            writer.add({**row(number), "label": [0, 2, None][number % 3], "source_split": "test"})
    before = set(shards.list_files(tmp_path))
    shards.relabel(tmp_path, [0, None, 1], ["a", "c"])
    assert not before & set(shards.list_files(tmp_path))
    found = sorted((row for batch in shards.read(tmp_path) for row in batch.to_pylist()), key=lambda row: int(row["row_id"]))
    assert found == [{**row(number), "label": [0, 1, None][number % 3], "source_split": "test"} for number in range(5000)]
    assert shards.classes(tmp_path) == ["a", "c"]
    assert all(
        pq.read_schema(part).metadata == pq.read_schema(shards.list_files(tmp_path)[0]).metadata
        for part in shards.list_files(tmp_path)
    )


def test_shards_without_a_column_that_came_later_are_read(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    (part,) = shards.list_files(tmp_path)
    pq.write_table(pq.read_table(part).drop_columns(["source_split"]), part)
    (batch,) = shards.read(tmp_path)
    with shards.ShardWriter(tmp_path / "new", classes=["a", "b"]) as writer:
        for old in batch.to_pylist():
            writer.add(old)
    assert [row["source_split"] for batch in shards.read(tmp_path / "new") for row in batch.to_pylist()] == [None] * 3


def test_hugging_face_reads_the_features_from_the_metadata(tmp_path: Path) -> None:
    fill(tmp_path, range(3))
    import json

    schema = pq.read_schema(shards.list_files(tmp_path)[0])
    features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert set(features) == set(schema.names)
    assert features["image"] == {"_type": "Image"}
    assert features["label"] == {"names": ["a", "b"], "_type": "ClassLabel"}


def test_rows_of_one_split_are_loaded_as_pixels(tmp_path: Path) -> None:
    images = pictures(10, 8, 3)
    write_rows(tmp_path, images, [None, *range(9)], splits=["train", "holdout"] * 5)
    held = rows.load(tmp_path, "holdout", origin="real")
    assert np.array_equal(held.images, images[1::2])
    assert held.labels.tolist() == [0, 2, 4, 6, 8]
    assert rows.load(tmp_path, "train").labels[0] == -1
    with pytest.raises(InputError, match="no generated rows"):
        rows.load(tmp_path, "train", origin="generated")


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with files.replacement(target) as folder:
        (folder / "old").touch()
    with pytest.raises(RuntimeError), files.replacement(target) as folder:
        (folder / "new").touch()
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["old"]
    with files.replacement(target) as folder:
        (folder / "new").touch()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
