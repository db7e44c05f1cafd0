"""folder: class folders or none, sorted; what cannot be read is refused with its reason, never waited for."""

from __future__ import annotations

import os
import socket
import unicodedata
from pathlib import Path

import fsspec
import pytest

from pipelines.core.errors import InputError
from pipelines.sources import places
from pipelines.sources.base import Item
from pipelines.sources.folder import Folder


def place(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode("utf-8", "surrogateescape"))


def items(path: Path | str) -> list[Item]:
    return list(Folder(type="folder", path=str(path)).items())


def classes(path: Path | str) -> list[str]:
    return Folder(type="folder", path=str(path)).classes()


def test_subfolders_are_classes(tmp_path: Path) -> None:
    place(tmp_path, "dog/b.png", "cat/2.png", "cat/1.jpg", "cat/deeper/3.png")
    assert classes(tmp_path) == ["cat", "dog"]
    assert [(item.path, item.label) for item in items(tmp_path)] == [
        ("cat/1.jpg", 0),
        ("cat/2.png", 0),
        ("cat/deeper/3.png", 0),
        ("dog/b.png", 1),
    ]
    assert next(item.image for item in items(tmp_path)) == b"cat/1.jpg"


def test_a_flat_folder_has_no_labels(tmp_path: Path) -> None:
    place(tmp_path, "b.png", "a.png")
    assert classes(tmp_path) == []
    assert [(item.path, item.label) for item in items(tmp_path)] == [("a.png", None), ("b.png", None)]


def test_files_beside_class_folders_have_no_label(tmp_path: Path) -> None:
    place(tmp_path, "cat/1.png", "loose.png")
    assert [(item.path, item.label) for item in items(tmp_path)] == [("cat/1.png", 0), ("loose.png", None)]


def test_hidden_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    place(tmp_path, "cat/1.png", "cat/.hidden.png", ".git/a.png", ".DS_Store")
    (tmp_path / "empty").mkdir()
    assert classes(tmp_path) == ["cat"]
    assert [item.path for item in items(tmp_path)] == ["cat/1.png"]


@pytest.mark.parametrize("empty", ["folder", "hidden", "subfolders", "missing", "file"])
def test_a_folder_with_nothing_in_it_is_an_input_error(tmp_path: Path, empty: str) -> None:
    root, words = tmp_path / "root", "this folder is empty"
    if empty == "hidden":
        place(root, ".hidden.png")
    elif empty == "subfolders":
        (root / "cat").mkdir(parents=True)
    elif empty == "missing":
        words = "nothing there"
    elif empty == "file":
        root.write_text("hello")
        words = "this is a file, expected a folder"
    else:
        root.mkdir()
    with pytest.raises(InputError, match=words):
        classes(root)


@pytest.mark.timeout(10)
def test_what_is_no_file_of_its_own_is_refused_and_never_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    place(root, "cat/good.png")
    place(tmp_path, "secret.png", "other/1.png")
    monkeypatch.chdir(root)
    (root / "cat/link-in.png").symlink_to(root / "cat/good.png")
    (root / "cat/link-out.png").symlink_to(tmp_path / "secret.png")
    (root / "cat/link-up.png").symlink_to("../../secret.png")
    (root / "cat/link-to-nothing.png").symlink_to("nothing.png")
    (root / "cat/link-to-itself.png").symlink_to("link-to-itself.png")
    (root / "cat/link-to-pipe.png").symlink_to("pipe.png")
    (root / "cat/device.png").symlink_to("/dev/zero")
    (root / "round").symlink_to(root)
    (root / "elsewhere").symlink_to(tmp_path / "other")
    os.mkfifo(root / "cat/pipe.png")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("cat/socket.png")
        assert {item.path: item.refused for item in items(root)} == {
            "cat/good.png": None,
            "cat/link-in.png": None,
            "cat/link-out.png": "link out of the folder",
            "cat/link-up.png": "link out of the folder",
            "cat/link-to-nothing.png": "unreadable",
            "cat/link-to-itself.png": "unreadable",
            "cat/link-to-pipe.png": "not a regular file",
            "cat/device.png": "link out of the folder",
            "cat/pipe.png": "not a regular file",
            "cat/socket.png": "not a regular file",
            "round": "link to a folder",
            "elsewhere": "link out of the folder",
        }
    assert all(item.image is None for item in items(root) if item.refused)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    place(tmp_path, "a.png")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(10 * 2**30)  # sparse: takes no room
    assert [(item.path, item.refused) for item in items(tmp_path)] == [("a.png", None), ("huge.png", "too many bytes")]


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place(tmp_path, "a.png", "locked.png")
    real = os.open

    def guarded(path: Path, *arguments: int) -> int:
        if str(path).endswith("locked.png"):  # root may read everything, so chmod would not do
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", guarded)
    assert [(item.path, item.refused) for item in items(tmp_path)] == [("a.png", None), ("locked.png", "unreadable")]


def test_strange_names_are_only_names(tmp_path: Path) -> None:
    names = [
        "new\nline.png",
        "a" * 250 + ".png",
        "..png",
        "\u202egnp.exe.png",
        unicodedata.normalize("NFC", "é.png"),
        unicodedata.normalize("NFD", "é.png"),
        os.fsdecode(b"not-utf-8-\xff.png"),
        "-rf.png",
        "$(touch ran).png",
    ]
    place(tmp_path, *(f"class\n{number}/{name}" for number, name in enumerate(names)))
    found = items(tmp_path)
    assert len(found) == len(names) - 1  # "..png" is hidden
    assert classes(tmp_path)[0] == "class 0"
    for item in found:
        item.path.encode()  # can be stored
    assert not (tmp_path / "ran").exists()


def test_a_url_gives_what_the_folder_gives(tmp_path: Path) -> None:
    names = ["dog/b.png", "cat/1.jpg", "cat/deeper/3.png", "loose.png", "cat/.hidden.png", ".git/a.png"]
    place(tmp_path, *names)
    filesystem = fsspec.filesystem("memory")
    for name in names:
        filesystem.pipe_file(f"/photos/{name}", name.encode())
    for url in (f"file://{tmp_path}", "memory://photos", "memory://photos/"):
        assert items(url) == items(tmp_path)
        assert classes(url) == ["cat", "dog"]


def test_what_a_url_cannot_give_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="nothing there"):
        classes("memory://no-such-folder")
    with pytest.raises(InputError, match="nowhere"):
        classes("nowhere://photos")
    fsspec.filesystem("memory").pipe_file("/large/a.png", bytes(100))
    monkeypatch.setattr(places, "MOST_BYTES", 99)
    assert [item.refused for item in items("memory://large")] == ["too many bytes"]


ONE_CLASS = (
    "all images are in one folder, so they are one class, '{}'; for images without classes name that folder itself as `path`"
)


def read(path: Path | str, **settings: str) -> dict[str, tuple[str | None, str | None]]:
    """Class and split by the file's name."""
    source = Folder(type="folder", path=str(path), **settings)  # type: ignore[arg-type]
    names = source.classes()
    return {item.path: (None if item.label is None else names[item.label], item.split) for item in source.items()}


@pytest.mark.parametrize(
    ("rows", "notes"),
    [
        (
            {"train/cat/1.png": ("cat", "train"), "train/dog/2.png": ("dog", "train"), "test/cat/3.png": ("cat", "test")},
            ["taken for splits, not for classes: test, train"],
        ),
        (
            {
                "Training/cat/1.png": ("cat", "train"),
                "VALID/cat/2.png": ("cat", "validation"),
                "dev/3.png": (None, "validation"),
            },
            ["taken for splits, not for classes: Training, VALID, dev"],
        ),
        ({"train/1.png": (None, "train"), "test/2.png": (None, "test")}, ["taken for splits, not for classes: test, train"]),
        (
            {
                "train/cat/1.png": ("cat", "train"),
                "test/2.png": (None, "test"),
                "labels.csv": (None, None),
                "loose.png": (None, None),
            },
            ["taken for splits, not for classes: test, train"],
        ),
        (
            {"train/cat/1.png": ("cat", "train"), "test/cat/2.png": ("cat", "test"), "annotations/1.xml": (None, None)},
            ["taken for splits, not for classes: test, train"],
        ),
        (
            {"cat/train/1.png": ("cat", "train"), "cat/test/2.png": ("cat", "test"), "dog/train/3.png": ("dog", "train")},
            ["taken for splits, not for classes: test, train"],
        ),
        (
            {"test/1.png": ("test", None), "cat/2.png": ("cat", None), "dog/3.png": ("dog", None)},
            ["taken for a class, because there are others beside it: test"],
        ),
        (
            {"bus/1.png": ("bus", None), "train/2.png": ("train", None)},
            ["taken for a class, because there are others beside it: train"],
        ),
        (
            {"images/cat/1.png": ("cat", None), "images/dog/2.png": ("dog", None), "README.md": (None, None)},
            ["classes are looked for in images/, because everything is there"],
        ),
        (
            {"dataset/train/cat/1.png": ("cat", "train"), "dataset/test/cat/2.png": ("cat", "test")},
            [
                "classes are looked for in dataset/, because everything is there",
                "taken for splits, not for classes: test, train",
            ],
        ),
        (
            {"a/b/cat/1.png": ("cat", None), "a/b/dog/deeper/2.png": ("dog", None)},
            ["classes are looked for in a/b/, because everything is there"],
        ),
        ({"cat/siamese/1.png": ("cat", None)}, [ONE_CLASS.format("cat")]),
        ({"cat/siamese/1.png": ("cat", None), "cat/2.png": ("cat", None)}, [ONE_CLASS.format("cat")]),
        ({"images /1.png": ("images", None), "README.md": (None, None)}, [ONE_CLASS.format("images")]),
        ({"images/1.png": ("images", None), "texts/1.txt": ("texts", None)}, [ONE_CLASS.format("images")]),
        ({" /1.png": (None, None)}, []),
        ({"images/1.png": ("images", None), "annotations/1.txt": ("annotations", None)}, [ONE_CLASS.format("images")]),
        ({"images/1.png": ("images", None), "2.png": (None, None)}, []),
        ({"cat/1.png": ("cat", None), "cat /2.png": ("cat", None), " dog/3.png": ("dog", None), " /4.png": (None, None)}, []),
        (
            {"train /cat/1.png": ("cat", "train"), "test/c\nat/2.png": ("c at", "test")},
            ["taken for splits, not for classes: test, train "],
        ),
        ({"cat/siamese/1.png": ("cat", None), "dog/2.png": ("dog", None)}, []),
        ({"images/cat/1.png": ("images", None), "images/dog/2.png": ("images", None), "3.png": (None, None)}, []),
    ],
)
def test_splits_and_folders_above_the_classes_are_no_classes(
    tmp_path: Path, rows: dict[str, tuple[str | None, str | None]], notes: list[str]
) -> None:
    place(tmp_path, *rows)
    assert read(tmp_path) == rows
    assert Folder(type="folder", path=str(tmp_path)).notes() == notes
    filesystem = fsspec.filesystem("memory")
    for name in rows:
        filesystem.pipe_file(f"/{tmp_path.name}/{name}", b"")
    assert read(f"memory://{tmp_path.name}") == rows


@pytest.mark.parametrize("test", ["rows", "holdout", "leave_out"])
@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["train/cat/1.png", "test/cat/2.png", "extra/3.png"], "beside the folders extra, test, train counts as a class"),
        (["cat/1.png", "dog/2.png", "val/3.png"], "beside the folders cat, dog, val counts as a class"),
        (["data/train/1.png", "data/unsorted/2.png"], "beside the folders unsorted, train counts as a class"),
        (["train/cat/1.png", "test/cat/2.png", "labels/3.txt"], None),
        (["cat/1.png", "dog/2.png"], None),
    ],
)
def test_a_split_asked_for_that_is_no_split_stops(tmp_path: Path, names: list[str], words: str | None, test: str) -> None:
    place(tmp_path, *names)
    if words is None or test == "rows":
        assert len(read(tmp_path, test=test)) == len(names)
    else:
        with pytest.raises(InputError, match=f"{words}, not as a split.* move .* or set `test: rows`"):
            read(tmp_path, test=test)


def test_what_systems_put_beside_the_images_is_left_out_and_counted(tmp_path: Path) -> None:
    kept = ["train/cat/1.png", "test/cat/2.png"]
    hidden = [".DS_Store", "train/cat/._1.png", ".cache/3.png", "train/.ipynb_checkpoints/4.png"]
    system = [
        *("@eaDir/5.png", "train/cat/@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/train/cat/._1.png", "lost+found/6.png"),
        *("train/birds/Thumbs.db", "train/cat/desktop.ini", "#recycle/cat/7.png", "$RECYCLE.BIN/8.png"),
        *("System Volume Information/9.png", "test/THUMBS.DB"),
    ]
    place(tmp_path, *kept, *hidden, *system)
    source = Folder(type="folder", path=str(tmp_path))
    assert read(tmp_path) == {"train/cat/1.png": ("cat", "train"), "test/cat/2.png": ("cat", "test")}
    assert source.classes() == ["cat"]
    assert source.left_out() == {"hidden files": len(hidden), "system files": len(system)}
    assert source.size_hint() == len(kept) == sum(path.is_file() for path in tmp_path.rglob("*")) - len(hidden) - len(system)


@pytest.mark.parametrize(
    ("names", "sentences"),
    [
        (
            ["labels.csv"],
            ["not read, and counted as refused: labels.csv; only images are read, and labels come from"],
        ),
        (
            ["train/metadata.jsonl", "README.md"],
            ["not read, and counted as refused: README.md, train/metadata.jsonl; only images are read"],
        ),
        (["more.zip", "more.tar.gz"], ["not read, and counted as refused: more.tar.gz, more.zip; unpack them first"]),
        (
            ["a.parquet", "b.NPZ", "c.h5"],
            [
                "refused: a.parquet; images in Parquet files",
                "refused: b.NPZ; images in NumPy arrays",
                "refused: c.h5; if there",
            ],
        ),
        ([f"cat/{number:02}.txt" for number in range(12)], ["cat/08.txt, cat/09.txt and 2 more;"]),
        (["cat/2.png", ".hidden.csv"], []),
    ],
)
def test_files_of_another_kind_are_named_with_how_to_have_them(tmp_path: Path, names: list[str], sentences: list[str]) -> None:
    place(tmp_path, "cat/1.png", *names)
    found = Folder(type="folder", path=str(tmp_path)).not_read()
    assert len(found) == len(sentences)
    assert all(words in sentence for words, sentence in zip(sentences, found, strict=True))


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.parquet", "`type: parquet`"), ("a.NPZ", "`type: npz`"), ("a.zip", "unpack them first"), ("a.png", "unpack it if it")],
)
def test_a_file_in_place_of_a_folder_is_told_how_it_is_read(tmp_path: Path, name: str, words: str) -> None:
    place(tmp_path, name)
    with pytest.raises(InputError, match=f"{name}: this is a file, expected a folder of images; .*{words}"):
        classes(tmp_path / name)


def test_a_pattern_reads_all_that_fits(tmp_path: Path) -> None:
    place(tmp_path, "photos/cat/1.png", "photos/cat/2.jpg", "photos/dog/3.png")
    assert read(f"{tmp_path}/photos/*/*.png") == {"cat/1.png": ("cat", None), "dog/3.png": ("dog", None)}
    with pytest.raises(InputError, match="nothing fits this pattern"):
        classes(f"{tmp_path}/photos/*/*.webp")
