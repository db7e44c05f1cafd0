"""ingest: every image becomes a row as it came, or is in quarantine with its reason, or nothing is written at all."""

from __future__ import annotations

import errno
import functools
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pipelines import ingest
from pipelines.core import files, images, png, reports, shards
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from tests.conftest import REPOSITORY, MakeParams

CAT, DOG, GREY = (200, 20, 10), (10, 200, 20), 99


def encoded(colour: Any, format: str = "PNG", mode: str = "RGB", size: tuple[int, int] = (20, 16), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, format, **options)
    return file.getvalue()


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(project: Project, make_params: MakeParams, *sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    ingest.run(project, make_params({"sources": list(sources), **changes}))
    report = reports.read(project.reports, "ingest")
    assert report["rows_in"] == report["rows_out"] + sum(report["refused"].values())
    assert report["rows_out"] == shards.count(project.raw) == sum(report["sources"].values())
    assert report["rows_out"] == sum(report["classes"].values()) + report["unlabelled"]
    assert sum(report["refused"].values()) == len(quarantine(project))
    assert list(report["classes"]) == shards.classes(project.raw)
    assert all(report["classes"].values())
    return report


def classes_and_splits(project: Project) -> dict[str, tuple[str | None, str | None, str | None]]:
    """Class, split and split of the source by the file's name, or by the grey of an array's image."""
    names = shards.classes(project.raw)
    return {
        row["image"]["path"] or str(images.decode_pixels(row["image"]["bytes"])[0, 0, 0]): (
            None if row["label"] is None else names[row["label"]],
            row["split"],
            row["source_split"],
        )
        for row in rows(project)
    }


def rows(project: Project) -> list[dict[str, Any]]:
    return [row for batch in shards.read(project.raw) for row in batch.to_pylist()]


def quarantine(project: Project) -> list[dict[str, Any]]:
    return [row for batch in shards.read(project.quarantine / "ingest") for row in batch.to_pylist()]


def nothing_written(project: Project) -> bool:
    return not any(path.is_file() for path in project.data.rglob("*")) and not any(project.data.glob(".*"))


def folder(path: Path) -> dict[str, str]:
    return {"type": "folder", "path": str(path)}


def test_digits_become_rows(project: Project, make_params: MakeParams) -> None:
    report = run(project, make_params, {"type": "digits"})
    assert report["rows_out"] == 1797
    assert report["sources"] == {"digits-0": 1797}
    assert list(report["classes"]) == list("0123456789") == shards.classes(project.raw)
    first = rows(project)[0]
    pixels = images.decode_pixels(first["image"].pop("bytes"))
    assert pixels.shape == (8, 8, 1)
    assert first == {
        "image": {"path": None},
        "label": 0,
        "row_id": images.row_id(pixels),
        "source": "digits-0",
        "origin": "real",
        "generation": 0,
        "weight": 1.0,
        "events": [],
        "split": None,
        "source_split": None,
    }
    assert quarantine(project) == []


def test_a_file_is_kept_as_it_came(project: Project, make_params: MakeParams) -> None:
    data = encoded(CAT, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0") + b"tail"
    put(project.root / "photos/cat/1.jpg", data)
    run(project, make_params, folder(project.root / "photos"))
    (row,) = rows(project)
    assert row["image"] == {"bytes": data, "path": "cat/1.jpg"}
    assert row["row_id"] == images.row_id(images.decode_pixels(data))


def test_sources_are_joined_by_the_names_of_their_classes(project: Project, make_params: MakeParams) -> None:
    put(project.root / "one/dog/1.png", encoded(DOG))
    put(project.root / "one/cat/1.png", encoded(CAT))
    put(project.root / "two/owl/1.png", encoded(CAT))
    put(project.root / "two/dog/1.png", encoded(DOG))
    put(project.root / "two/loose.png", encoded(DOG))
    np.savez(project.root / "a.npz", images=np.zeros((3, 8, 8), np.uint8))
    report = run(
        project, make_params, folder(project.root / "one"), folder(project.root / "two"), {"type": "npz", "path": "a.npz"}
    )
    assert shards.classes(project.raw) == ["cat", "dog", "owl"]
    assert report["classes"] == {"cat": 1, "dog": 2, "owl": 1}
    assert report["unlabelled"] == 4
    assert report["sources"] == {"folder-0": 2, "folder-1": 3, "npz-2": 3}
    found = [(row["source"], row["image"]["path"], row["label"]) for row in rows(project)]
    assert found[:5] == [
        ("folder-0", "cat/1.png", 0),
        ("folder-0", "dog/1.png", 1),
        ("folder-1", "dog/1.png", 1),
        ("folder-1", "loose.png", None),
        ("folder-1", "owl/1.png", 2),
    ]


def greys(*values: int) -> np.ndarray:
    """(n, 8, 8) uint8, each image of one grey."""
    return np.repeat(np.array(values, np.uint8), 64).reshape(-1, 8, 8)


@pytest.mark.parametrize("labels", [[1, 2], [5, 0], [99_999, 3], [-1, 7]])
def test_only_labels_that_rows_have_are_classes(project: Project, make_params: MakeParams, labels: list[int]) -> None:
    np.savez(project.root / "a.npz", images=greys(10, 20), labels=np.array(labels))
    report = run(project, make_params, {"type": "npz", "path": "a.npz"})
    names = [None if label < 0 else str(label) for label in labels]
    assert [classes_and_splits(project)[grey][0] for grey in ("10", "20")] == names
    assert report["classes"] == dict.fromkeys(sorted(filter(None, names), key=int), 1)


def test_a_class_without_a_usable_image_is_no_class_and_is_named(
    project: Project, make_params: MakeParams, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "BATCH_ROWS", 3)  # several row groups
    for name in ("bird", "cat", "dog", "emu", "fox"):
        for number in range(4):
            content = b"hello" if name in ("bird", "emu") else encoded(CAT, size=(10 + number, 20))
            put(project.root / f"photos/{name}/{number}.png", content)
    put(project.root / "photos/ant/Thumbs.db", b"hello")
    put(project.root / "photos/loose.png", encoded(DOG))
    np.savez(project.root / "a.npz", images=greys(10, 20), labels=np.array(["emu", "gnu"]))
    first = run(project, make_params, folder(project.root / "photos"))
    assert first["classes"] == {"cat": 4, "dog": 4, "fox": 4}
    assert first["empty_classes"] == ["bird", "emu"]
    assert "no usable rows, so no class: 'bird', 'emu'\n" in capsys.readouterr().out
    report = run(project, make_params, folder(project.root / "photos"), {"type": "npz", "path": "a.npz"})
    assert report["empty_classes"] == ["bird"]  # the other source has rows of emu
    found = {path: name for path, (name, _, _) in classes_and_splits(project).items()}
    photos = {f"{name}/{number}.png": name for name in ("cat", "dog", "fox") for number in range(4)}
    assert found == {**photos, "loose.png": None, "10": "emu", "20": "gnu"}
    assert len(list(project.raw.glob("*"))) == 1  # nothing of the first writing is left


def split_source(name: str, root: Path) -> dict[str, Any]:
    """Greys 10 (cat) of train, 20 (cat) of test, 30 (dog) of no split or of validation."""
    match name:
        case "folder":
            for file, grey in {"train/cat/1.png": 10, "test/cat/2.png": 20, "val/dog/3.png": 30}.items():
                put(root / "photos" / file, encoded(grey, mode="L"))
            return {"type": "folder", "path": "photos"}
        case "npz":
            arrays = {"x_train": greys(10), "x_test": greys(20), "x_val": greys(30)}
            np.savez(root / "a.npz", **arrays, y_train=["cat"], y_test=["cat"], y_val=["dog"])
            return {"type": "npz", "path": "a.npz"}
    for file, grey in {"train": 10, "test": 20, "validation": 30}.items():
        label = "dog" if grey == 30 else "cat"
        pq.write_table(pa.table({"image": [encoded(grey, mode="L")], "label": [label]}), root / f"{file}-0.parquet")
    return {"type": "parquet", "path": "*.parquet"}


@pytest.mark.parametrize("name", ["folder", "npz", "parquet"])
@pytest.mark.parametrize("test", ["rows", "holdout", "leave_out"])
def test_the_setting_test_says_what_becomes_of_a_sources_own_splits(
    project: Project, make_params: MakeParams, name: str, test: str
) -> None:
    report = run(project, make_params, {**split_source(name, project.root), "test": test})
    names = shards.classes(project.raw)
    found = {
        (int(images.decode_pixels(row["image"]["bytes"])[0, 0, 0]), names[row["label"]], row["split"], row["source_split"])
        for row in rows(project)
    }
    train, held_out = {"rows": (None, None), "holdout": ("train", "holdout"), "leave_out": (None, None)}[test]
    expected = {(10, "cat", train, "train"), (20, "cat", held_out, "test"), (30, "dog", held_out, "validation")}
    if test == "leave_out":
        expected = {(10, "cat", train, "train")}
        assert report["refused"] == {"test split left out": 1, "validation split left out": 1}
        assert report["empty_classes"] == ["dog"]
        assert {row["image"]["bytes"] for row in quarantine(project)} == {None}
    assert found == expected
    assert report["source_splits"] == {
        split: 1 for split in ("train", "test", "validation") if test != "leave_out" or split == "train"
    }


def test_a_holdout_that_holds_nothing_out_is_said(
    project: Project, make_params: MakeParams, capsys: pytest.CaptureFixture[str]
) -> None:
    put(project.root / "photos/train/cat/1.png", encoded(CAT))
    report = run(project, make_params, {**folder(project.root / "photos"), "test": "holdout"})
    assert [note for note in report["notes"] if "holds nothing out" in note]
    assert "folder-0: `test: holdout` holds nothing out" in capsys.readouterr().out


def test_every_file_of_a_folder_is_a_row_or_refused_or_left_out(
    project: Project, make_params: MakeParams, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = project.root / "photos"
    put(photos / "train/cat/1.png", encoded(CAT))
    put(photos / "test/dog/2.png", encoded(DOG))
    put(photos / "train/cat/pointer.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    put(photos / "more.zip", b"PK\3\4" + bytes(100))
    put(photos / "large.zip", b"PK\3\4" + bytes(11_000_000))
    put(photos / "labels.csv", b"file_name,label\n1.png,cat\n")
    for name in ("@eaDir/1.png", "train/cat/Thumbs.db", ".DS_Store"):
        put(photos / name, b"hello")
    report = run(project, make_params, folder(photos))
    assert report["rows_in"] + sum(report["left_out"].values()) == sum(path.is_file() for path in photos.rglob("*")) == 9
    assert report["left_out"] == {"hidden files": 1, "system files": 2}
    assert report["refused"] == {"not an image": 1, "archive": 2, "git-lfs pointer": 1}
    assert report["notes"] == ["folder-0: taken for splits, not for classes: test, train"]
    assert [sentence[:60] for sentence in report["not_read"]] == [
        "folder-0: not read, and counted as refused: labels.csv; only",
        "folder-0: not read, and counted as refused: large.zip, more.",
    ]
    lines = capsys.readouterr().out.splitlines()
    assert "ingest: cat: 1, dog: 1" in lines
    assert "ingest: splits of the sources: train: 1, test: 1" in lines
    assert "ingest: 1 refused: git-lfs pointer; `git lfs pull` puts the files themselves there" in lines
    assert "ingest: left out, because they are no data: hidden files: 1, system files: 2" in lines
    assert all(f"ingest: {sentence}" in lines for sentence in [*report["notes"], *report["not_read"]])


def test_a_folder_of_pointers_alone_says_how_to_have_the_files(project: Project, make_params: MakeParams) -> None:
    put(project.root / "photos/cat/1.png", b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(InputError, match=r"git-lfs pointer: 1.*`git lfs pull` puts the files"):
        run(project, make_params, folder(project.root / "photos"))


def test_sources_of_numbers_and_of_names_are_said_to_have_different_classes(project: Project, make_params: MakeParams) -> None:
    put(project.root / "photos/cat/1.png", encoded(CAT))
    put(project.root / "photos/2.png", encoded(DOG))
    put(project.root / "digits/0/1.png", encoded(CAT))
    put(project.root / "digits/1/2.png", encoded(DOG))
    np.savez(project.root / "a.npz", images=greys(10, 20), labels=np.array([0, 1]))
    numbers = {"type": "npz", "path": "a.npz"}
    report = run(project, make_params, folder(project.root / "photos"), numbers)
    assert report["classes"] == {"cat": 1, "0": 1, "1": 1}
    assert [note[:68] for note in report["notes"]] == ["the classes of npz-1 are numbers and those of folder-0 are names: no"]
    assert run(project, make_params, folder(project.root / "digits"), numbers)["notes"] == []


def test_names_that_differ_by_blanks_are_one_class_and_by_case_are_said(project: Project, make_params: MakeParams) -> None:
    for number, name in enumerate(["cat", "cat ", "Cat", "dog", "DOG"]):
        put(project.root / f"photos/{name}/1.png", encoded((number, 0, 0)))
    np.savez(project.root / "a.npz", images=greys(10, 20), labels=np.array(["cat\n", "dog"]))
    report = run(project, make_params, folder(project.root / "photos"), {"type": "npz", "path": "a.npz"})
    assert report["classes"] == {"Cat": 1, "DOG": 1, "cat": 3, "dog": 2}
    assert report["notes"] == [
        "the classes 'Cat' and 'cat', 'DOG' and 'dog' differ by case alone; rename one if they are the same"
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.parquet", "Parquet files .* `type: parquet`"), ("a.npz", "NumPy .* `type: npz`"), ("a.zip", "unpack them first")],
)
def test_a_folder_without_images_says_what_reads_its_files(
    project: Project, make_params: MakeParams, name: str, words: str
) -> None:
    put(project.root / "photos" / name, b"PK\3\4" + bytes(100))
    with pytest.raises(InputError, match=f"none of 1 files is a usable image .*{name}.*{words}"):
        run(project, make_params, folder(project.root / "photos"))


def test_frames_beyond_the_first_are_counted(project: Project, make_params: MakeParams) -> None:
    for format in ("GIF", "WEBP", "PNG", "TIFF"):
        put(project.root / f"photos/several.{format}", animated(format))
        put(project.root / f"photos/single.{format}", encoded(CAT, format))
    put(project.root / "photos/single.jpg", encoded(CAT, "JPEG"))
    report = run(project, make_params, folder(project.root / "photos"))
    assert report["not_read"] == [
        "folder-0: not read: all but the first frame or page of 4 images; save each as a file of its own to have it"
    ]
    single = [row["image"]["path"] for row in rows(project) if not images.has_more_frames(row["image"]["bytes"])]
    assert single == ["single.GIF", "single.PNG", "single.TIFF", "single.WEBP", "single.jpg"]


def test_arrays_that_are_not_read_are_in_the_report(project: Project, make_params: MakeParams) -> None:
    np.savez(project.root / "a.npz", images=greys(10, 20), y=np.array([0, 1]), seeds=np.array([5, 6]))
    report = run(project, make_params, {"type": "npz", "path": "a.npz"})
    assert report["classes"] == {"0": 1, "1": 1}
    assert [sentence[:40] for sentence in report["not_read"]] == ["npz-0: arrays not read: seeds (int64, sh"]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def animated(format: str) -> bytes:
    frames = [Image.new("RGB", (20, 16), colour) for colour in (CAT, DOG)]
    file = io.BytesIO()
    frames[0].save(file, format, save_all=True, append_images=frames[1:])
    return file.getvalue()


@functools.cache
def strange_files() -> dict[str, tuple[bytes, str | None]]:
    """BAD_INPUTS.md, "Images": the content and why it is refused; None where it is a row."""
    good = encoded(CAT)
    header = png.SIGNATURE + png.chunk(b"IHDR", (60_000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0]))
    exif = Image.Exif()
    exif[0x0112] = 6
    cut, foreign = "truncated or damaged", "unsupported format"
    return {
        "script.svg": (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", foreign),
        "a.eps": (encoded(CAT, "EPS"), foreign),
        "a.pdf": (encoded(CAT, "PDF"), foreign),
        "a.ico": (encoded(CAT, "ICO"), foreign),
        "html.png": (b"<html><script>alert(1)</script></html>", "not an image"),
        "random.png": (np.random.default_rng(0).bytes(5000), "not an image"),
        "notes.txt": (b"hello", "not an image"),
        "zero.png": (b"", "zero bytes"),
        "half.png": (half(good), cut),
        "no-end.png": (good[:-12], cut),
        "cut.jpg": (half(encoded(CAT, "JPEG")), cut),
        "cut.webp": (half(encoded(CAT, "WEBP")), cut),
        "0x0.png": (png.SIGNATURE + png.chunk(b"IHDR", bytes(8) + bytes([8, 0, 0, 0, 0])) + good[-12:], cut),
        "crc.png": (good[:-20] + b"\1\2\3\4" + good[-16:], cut),
        "profile.png": (good[:33] + png.chunk(b"iCCP", b"p\0\0" + zeros(100)) + good[33:], cut),
        "text.png": (good[:33] + png.chunk(b"zTXt", b"k\0\0" + zeros(100)) + good[33:], cut),
        "60000.png": (header + good[33:], "too many pixels"),
        "88-megapixels.png": (encoded(0, mode="L", size=(9400, 9400)), "too many pixels"),
        "long.png": (encoded(0, mode="1", size=(200_000, 1)), "side too long"),
        "11-megabytes.png": (good + bytes(11_000_000), "too many bytes"),
        "a.tiff": (encoded(CAT, "TIFF"), None),
        "a.gif": (encoded(CAT, "GIF"), None),
        "a.bmp": (encoded(CAT, "BMP"), None),
        "animated.gif": (animated("GIF"), None),
        "animated.webp": (animated("WEBP"), None),
        "animated.png": (animated("PNG"), None),
        "cmyk.jpg": (encoded((0, 255, 255, 0), "JPEG", "CMYK"), None),
        "sixteen.png": (encoded(GREY * 257, mode="I;16"), None),
        "turned.jpg": (encoded(CAT, "JPEG", exif=exif), None),
        "palette.png": (encoded(0, mode="P", transparency=0), None),
        "one-bit.png": (encoded(1, mode="1"), None),
        "zip.png": (good + b"PK\3\4" + bytes(50), None),
        "wrong-name.txt": (good, None),
    }


def zeros(megabytes: int) -> bytes:
    import zlib

    return zlib.compress(bytes(megabytes * 2**20), 9)


def test_every_strange_file_is_a_row_or_a_refusal_with_its_reason(project: Project, make_params: MakeParams) -> None:
    for name, (content, _) in strange_files().items():
        put(project.root / "photos" / name, content)
    os.mkfifo(project.root / "photos/pipe.png")
    (project.root / "photos/out.png").symlink_to("/etc/passwd")
    run(project, make_params, folder(project.root / "photos"))
    expected = {name: reason for name, (_, reason) in strange_files().items()}
    expected |= {"pipe.png": "not a regular file", "out.png": "link out of the folder"}
    found = {row["image"]["path"]: row["reason"] for row in quarantine(project)}
    found |= {row["image"]["path"]: None for row in rows(project)}
    assert found == expected
    kept = {row["image"]["path"]: row["image"]["bytes"] for row in quarantine(project)}
    assert kept["half.png"] == strange_files()["half.png"][0]
    assert kept["11-megabytes.png"] is None


def test_good_ones_among_bad_ones_are_kept(project: Project, make_params: MakeParams) -> None:
    put(project.root / "photos/cat/good.png", encoded(CAT))
    put(project.root / "photos/cat/zero.png", b"")
    put(project.root / "photos/dog/cut.png", half(encoded(DOG)))
    report = run(project, make_params, folder(project.root / "photos"))
    assert report["refused"] == {"zero bytes": 1, "truncated or damaged": 1}
    assert report["classes"] == {"cat": 1}
    assert report["empty_classes"] == ["dog"]
    assert {(row["source"], row["reason"]) for row in quarantine(project)} == {
        ("folder-0", "zero bytes"),
        ("folder-0", "truncated or damaged"),
    }


def test_limits_come_from_params(project: Project, make_params: MakeParams) -> None:
    put(project.root / "photos/a.png", encoded(CAT))  # 20 x 16
    put(project.root / "photos/b.png", encoded(CAT, size=(8, 8)))
    np.savez(project.root / "a.npz", images=np.zeros((2, 16, 20), np.uint8))
    both = folder(project.root / "photos"), {"type": "npz", "path": "a.npz"}
    side = run(project, make_params, *both, **{"ingest.max_side": 19})
    assert side["refused"] == {"side too long": 3}
    pixels = run(project, make_params, *both, **{"ingest.max_pixels": 300})
    assert pixels["refused"] == {"too many pixels": 3}
    size = run(project, make_params, *both, **{"ingest.max_bytes": 60})
    assert size["refused"] == {"too many bytes": 2}


def unusable(name: str, root: Path) -> dict[str, Any]:
    match name:
        case "missing folder":
            return folder(root / "none")
        case "empty folder":
            (root / "empty").mkdir()
            return folder(root / "empty")
        case "text files":
            put(root / "text/a.txt", b"hello")
            put(root / "text/b.txt", b"hello")
            put(root / "text/c.png", b"")
            return folder(root / "text")
        case "no image column":
            pq.write_table(pa.table({"picture": [1], "label": [0]}), root / "a.parquet")
            return {"type": "parquet", "path": "a.parquet"}
        case "no rows":
            pq.write_table(pa.table({"image": pa.array([], pa.binary())}), root / "a.parquet")
            return {"type": "parquet", "path": "a.parquet"}
        case "object array":
            np.savez(root / "a.npz", images=np.array([None, "a"], object))
        case "two labels a row":
            np.savez(root / "a.npz", images=np.zeros((2, 8, 8), np.uint8), labels=np.ones((2, 3), int))
        case "a fault at the end":
            pixels = np.full((5000, 8, 8), 0.5, np.float32)
            pixels[-1] = 2
            np.savez(root / "a.npz", images=pixels)
    return {"type": "npz", "path": "a.npz"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing folder", "there is nothing there"),
        ("empty folder", "this folder is empty"),
        ("text files", r"none of 3 files is a usable image \(not an image: 2, zero bytes: 1\)"),
        ("no image column", "no column 'image' with images; there are: picture, label"),
        ("no rows", "no rows in a.parquet"),
        ("object array", "an array of Python objects"),
        ("two labels a row", "expected one label a row"),
        ("a fault at the end", "floats must be from 0 to 1"),
    ],
)
def test_unusable_input_writes_nothing(project: Project, make_params: MakeParams, name: str, words: str) -> None:
    source = unusable(name, project.root)
    with pytest.raises(InputError, match=words):
        run(project, make_params, source)
    assert nothing_written(project)
    run(project, make_params, {"type": "digits"})
    before = rows(project)
    with pytest.raises(InputError, match=words):
        run(project, make_params, source)
    assert rows(project) == before  # what was there before stays


def test_urls_are_ingested(project: Project, make_params: MakeParams) -> None:
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file("/ingest/photos/cat/1.png", encoded(CAT))
    np.savez(project.root / "a.npz", images=np.zeros((3, 8, 8), np.uint8))
    filesystem.pipe_file("/ingest/a.npz", (project.root / "a.npz").read_bytes())
    sources = {"type": "folder", "path": "memory://ingest/photos"}, {"type": "npz", "path": "memory://ingest/a.npz"}
    assert run(project, make_params, *sources)["sources"] == {"folder-0": 1, "npz-1": 3}


def test_two_projects_in_one_process_do_not_meet(project: Project, make_params: MakeParams) -> None:
    projects = [Project(project.root / name) for name in ("one", "two")]
    for number, each in enumerate(projects):
        put(each.root / f"photos/{number}.png", encoded((number, 0, 0)))
        run(each, make_params, {"type": "folder", "path": "photos"})  # relative to the project's root
    assert [[row["image"]["path"] for row in rows(each)] for each in projects] == [["0.png"], ["1.png"]]


def test_the_same_input_gives_the_same_shards(
    project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        put(project.root / f"photos/{number % 3}/{number}.png", encoded((number, 0, 0)))
    run(project, make_params, folder(project.root / "photos"))
    first = shards.digest(project.raw)
    monkeypatch.setattr(ingest, "CHUNK_ROWS", 7)  # so that worker processes do it
    run(project, make_params, folder(project.root / "photos"))
    assert shards.digest(project.raw) == first


def test_large_images_go_in_small_chunks(make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "CHUNK_BYTES", 1000)
    params = make_params({"sources": [{"type": "digits"}]})
    limits = images.Limits(**params.ingest.model_dump())
    chunks = list(ingest.all_rows(params.sources, params.sources[0].classes(), limits))
    assert {len(jobs) for jobs in chunks[:-1]} == {16}  # of 64 bytes each
    assert sum(len(jobs) for jobs in chunks) == 1797


def test_a_full_disk_leaves_what_was_there(project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> None:
    run(project, make_params, {"type": "digits"})
    before = shards.digest(project.raw)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        run(project, make_params, {"type": "glyphs", "count": 3000})
    assert shards.digest(project.raw) == before
    assert not list(project.data.glob(".*"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """2 MB of disk: a project folder with the real params.yaml."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    done = mount and subprocess.run([mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True)
    if not done or done.returncode:
        pytest.skip("a small disk can only be mounted as root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def stage_process(project: Path, source: str) -> subprocess.Popen[str]:
    """The stage as DVC starts it, in `project`."""
    text = (REPOSITORY / "params.yaml").read_text().replace("- type: digits", f"- {source} #")
    (project / "params.yaml").write_text(text)
    (project / "dvc.yaml").write_text("stages: {}\n")
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines.ingest"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def test_a_disk_that_is_really_full_gets_a_clear_message(small_disk: Path) -> None:
    stage = stage_process(small_disk, "{type: glyphs, count: 20000}")
    _, errors = stage.communicate(timeout=60)
    assert stage.returncode == 1
    assert "the disk is full" in errors
    assert "Traceback" not in errors
    assert not (small_disk / "data/raw").exists()
    assert not list(small_disk.glob("data/.*"))


def test_unusable_input_ends_with_2_and_one_message(tmp_path: Path) -> None:
    stage = stage_process(tmp_path, "{type: folder, path: none}")
    _, errors = stage.communicate(timeout=60)
    assert stage.returncode == 2
    assert errors.strip() == "ingest: none: there is nothing there; expected a path, or a URL such as s3://bucket/images"


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_leaves_nothing_that_passes_for_whole(tmp_path: Path, stop: signal.Signals) -> None:
    put(tmp_path / "data/raw/part-0.parquet", b"what was there before")
    stage = stage_process(tmp_path, "{type: glyphs, count: 100000000}")
    partial = tmp_path / "data/.raw.partial/.part.partial"
    waited = time.monotonic() + 30
    while not partial.exists() and time.monotonic() < waited:
        time.sleep(0.05)
    assert partial.exists()
    os.killpg(stage.pid, stop)
    _, errors = stage.communicate(timeout=20)
    assert stage.returncode == (1 if stop == signal.SIGINT else -stop)
    assert ("interrupted" in errors) == (stop == signal.SIGINT)
    assert "Traceback" not in errors
    assert [path.name for path in (tmp_path / "data/raw").iterdir()] == ["part-0.parquet"]
    assert not (tmp_path / "data/reports").exists()
    with files.replacement(tmp_path / "data/raw"):  # the next run starts clean
        assert not partial.exists()


def test_a_killed_worker_writes_nothing(project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        put(project.root / f"photos/{number}.png", encoded(CAT))
    monkeypatch.setattr(ingest, "CHUNK_ROWS", 1)
    monkeypatch.setattr(ingest, "make_rows", die)
    with pytest.raises(GenloopError, match="a worker process was killed"):
        run(project, make_params, folder(project.root / "photos"), {"type": "digits"})
    assert nothing_written(project)


def die(*arguments: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_the_report_is_json_that_others_can_read(project: Project, make_params: MakeParams) -> None:
    put(project.root / "photos/new\nline/1.png", encoded(CAT))
    run(project, make_params, folder(project.root / "photos"))
    report = json.loads((project.reports / "ingest.json").read_text())
    assert report["classes"] == {"new line": 1}


@pytest.mark.timeout(60)
def test_mnist_is_ingested_whole(project: Project, make_params: MakeParams, real_data: Callable[[str], Path]) -> None:
    report = run(project, make_params, {"type": "npz", "path": str(real_data("mnist.npz"))})
    assert (report["rows_out"], report["refused"]) == (70_000, {})
    assert report["classes"]["1"] == 7877
