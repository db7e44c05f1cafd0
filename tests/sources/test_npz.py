"""npz: the usual layouts are found, rows come in order, and what is no array of pixels or labels is said by name."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.sources import arrays as stored_arrays
from pipelines.sources.npz import Npz

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4), np.uint8)
LABELS = np.array([0, 2, 1, 0, 2, 1])


def saved(path: Path, compressed: bool = True, **arrays: Any) -> Path:
    (np.savez_compressed if compressed else np.savez)(path, allow_pickle=True, **arrays)
    return path


def rows(path: Path | str, **settings: Any) -> tuple[list[np.ndarray], list[int | None]]:
    items = list(Npz(type="npz", path=str(path), **settings).items())
    return [item.image for item in items], [item.label for item in items]


@pytest.mark.parametrize(
    "arrays",
    [
        {"x_train": PIXELS[:4], "y_train": LABELS[:4], "x_test": PIXELS[4:], "y_test": LABELS[4:]},
        {"images": PIXELS, "labels": LABELS, "seeds": LABELS},
        {"x": PIXELS, "y": LABELS[:, None]},
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_the_usual_layouts_are_found(tmp_path: Path, arrays: dict[str, np.ndarray], compressed: bool) -> None:
    path = saved(tmp_path / "a.npz", compressed, **arrays)
    images, labels = rows(path)
    assert (np.stack(images) == PIXELS).all()
    assert labels == LABELS.tolist()
    assert Npz(type="npz", path=str(path)).classes() == ["0", "1", "2"]


def test_arrays_of_any_name_can_be_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", a=PIXELS, b=LABELS, c=PIXELS)
    assert rows(path, images=["a"], labels=["b"])[1] == LABELS.tolist()
    assert rows(path, images=["a", "c"])[1] == [None] * 12
    with pytest.raises(InputError, match=r"no array 'd'; there are: a, b, c"):
        rows(path, images=["d"])
    with pytest.raises(InputError, match=r"1 names in `images` but 2 in `labels`"):
        rows(path, images=["a"], labels=["b", "b"])
    with pytest.raises(InputError, match=r"expected the arrays x_train .*there are: a, b, c.*images: \["):
        rows(path)


def test_images_without_labels_are_unlabelled(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", images=PIXELS)
    assert rows(path)[1] == [None] * 6
    assert Npz(type="npz", path=str(path)).classes() == []


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (PIXELS.astype(np.uint16) * 257, PIXELS.astype(np.uint16) * 257),
        (PIXELS.astype(">u2") * 257, PIXELS.astype(np.uint16) * 257),
        (PIXELS > 127, (PIXELS > 127) * np.uint8(255)),
        (PIXELS / np.float32(255), PIXELS),
        (PIXELS / 255.0, PIXELS),
        (np.asfortranarray(PIXELS), PIXELS),
        (PIXELS[..., None], PIXELS[..., None]),
        (np.stack([PIXELS] * 4, -1), np.stack([PIXELS] * 4, -1)),
    ],
)
def test_pixels_of_every_kind_are_taken(tmp_path: Path, array: np.ndarray, expected: np.ndarray) -> None:
    images = np.stack(rows(saved(tmp_path / "a.npz", images=array))[0])
    assert images.dtype == expected.dtype
    assert (images == expected).all()


def test_rows_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_arrays, "READ_BYTES", 45)  # two rows
    images, labels = rows(saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS))
    assert (np.stack(images) == PIXELS).all()
    assert labels == LABELS.tolist()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.array([PIXELS, None], object), "labels": LABELS}, "images: an array of Python objects"),
        ({"images": PIXELS, "labels": LABELS.astype(object)}, r"labels: an array of .*np.array\(names, dtype=str\)"),
        ({"images": PIXELS, "labels": LABELS + 0.5}, "labels: row 0 has the label 0.5; expected a name or a whole number"),
        ({"images": PIXELS, "labels": LABELS - 2}, "labels: row 0 has the label -2; expected a name or a whole number from 0"),
        ({"images": PIXELS, "labels": LABELS + 10**6}, "labels: row 0 has the label 1000000; .*from 0 to 99999"),
        ({"images": PIXELS, "labels": np.eye(3)[LABELS] / 2}, "labels: .*row 0 of 3 values has something else"),
        ({"images": PIXELS, "labels": np.eye(3)[LABELS] + np.eye(3)[0]}, "labels: .*row 0 of 3 values has something else"),
        ({"images": PIXELS, "labels": np.full((6, 3), "cat")}, r"labels: expected one name a row, came shape \(6, 3\)"),
        ({"images": PIXELS, "labels": PIXELS}, r"labels: expected whole numbers or names of shape \(n,\)"),
        ({"images": PIXELS, "labels": LABELS.astype(complex)}, "labels: expected whole numbers or names .* came complex128"),
        ({"x": PIXELS, "labels": LABELS, "target": LABELS}, "labels, target may each be the labels of x; name one: `images"),
        (
            {"x_train": PIXELS, "y_train": LABELS, "x_val": PIXELS, "y_val": LABELS.astype(str) + np.array(["a"])},
            "y_train has numbers and .*y_val has names",
        ),
        ({"images": PIXELS, "labels": LABELS[:5]}, "images has 6 rows but labels has 5"),
        (
            {"images": PIXELS.astype(np.int64)},
            "images: expected uint8, uint16, bool, or floats from 0 to 1; came int64",
        ),
        ({"images": PIXELS.astype(np.complex64)}, "images: expected uint8, .* came complex64"),
        ({"images": PIXELS.astype(float)}, "images: floats must be from 0 to 1"),
        ({"images": PIXELS / 255.0 - 0.5}, "images: floats must be from 0 to 1"),
        ({"images": np.full((2, 3, 3), np.nan)}, "images: floats must be from 0 to 1"),
        ({"images": PIXELS[0]}, "images: expected the shape"),
        ({"images": np.zeros((2, 3, 8, 8), np.uint8)}, "images: expected the shape"),
        ({"images": np.zeros((2, 0, 8), np.uint8)}, "images: expected the shape"),
    ],
)
def test_what_cannot_be_used_is_said_by_name(tmp_path: Path, arrays: dict[str, np.ndarray], words: str) -> None:
    path = saved(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=words):
        rows(path)


def test_a_pickle_in_the_archive_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    trap = np.empty(1, object)
    trap[0] = Trap()
    path = saved(tmp_path / "a.npz", images=trap)
    with pytest.raises(InputError, match="could run code"):
        rows(path)
    assert not (tmp_path / "ran").exists()
    np.load(path, allow_pickle=True)["images"]
    assert (tmp_path / "ran").exists()  # so the trap would have worked


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def not_zip(path: Path) -> None:
    path.write_text("hello")


def garbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[150:170] = bytes(20)
    path.write_bytes(content)


def no_array(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", b"hello")


def boasting(path: Path) -> None:
    """A header that promises more than there is."""
    with zipfile.ZipFile(path, "w") as archive, archive.open("images.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10**12, 28, 28)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(bytes(784))


@pytest.mark.parametrize("spoil", [cut, not_zip, garbled, no_array, boasting])
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    path = saved(tmp_path / "a.npz", images=PIXELS)
    spoil(path)
    with pytest.raises(InputError, match=r"a\.npz"):
        rows(path)


def test_a_place_with_nothing_is_named(tmp_path: Path) -> None:
    for path, words in [
        (tmp_path / "none.npz", "nothing there"),
        (tmp_path, "no npz or npy files there"),
        ("nowhere://a.npz", "nowhere"),
    ]:
        with pytest.raises(InputError, match=words):
            Npz(type="npz", path=str(path)).classes()


def test_urls_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    with fsspec.open("memory://npz/a.npz", "wb") as file:
        file.write(path.read_bytes())
    for url in ("memory://npz/a.npz", f"file://{path}"):
        images, labels = rows(url)
        assert (np.stack(images) == PIXELS).all()
        assert labels == LABELS.tolist()
    with pytest.raises(InputError, match="nothing there"):
        rows("memory://npz/none.npz")


def test_mnist_is_read_in_its_order(real_data: Callable[[str], Path]) -> None:
    path = real_data("mnist.npz")
    images, labels = rows(path)
    with np.load(path) as arrays:
        assert (np.stack(images[:60_000]) == arrays["x_train"]).all()
        assert labels[60_000:] == arrays["y_test"].tolist()


def read(path: Path | str, **settings: Any) -> list[tuple[int, str | None, str | None]]:
    """(number of the image in PIXELS, class, split) of each row."""
    source = Npz(type="npz", path=str(path), **settings)
    classes = source.classes()
    numbers = {pixels.tobytes(): number for number, pixels in enumerate(PIXELS)}
    return [
        (numbers[item.image.tobytes()], None if item.label is None else classes[item.label], item.split)  # type: ignore[union-attr]
        for item in source.items()
    ]


def expected(*splits: str | None) -> list[tuple[int, str | None, str | None]]:
    """All of PIXELS with LABELS, in equal parts of these splits."""
    part = 6 // len(splits)
    return [(number, str(LABELS[number]), splits[number // part]) for number in range(6)]


X, Y = PIXELS, LABELS
TRAIN_VALIDATION = expected("train", "validation")


@pytest.mark.parametrize(
    ("arrays", "rows"),
    [
        ({"x_train": X[:3], "y_train": Y[:3], "x_val": X[3:], "y_val": Y[3:]}, TRAIN_VALIDATION),
        ({"X_valid": X[3:], "Y_valid": Y[3:], "X_train": X[:3], "Y_train": Y[:3]}, TRAIN_VALIDATION),
        ({"train_x": X[:3], "train_y": Y[:3], "validation_x": X[3:], "validation_y": Y[3:]}, TRAIN_VALIDATION),
        ({"trainX": X[:3], "trainY": Y[:3], "devX": X[3:], "devY": Y[3:]}, TRAIN_VALIDATION),
        ({"xtrain": X[:3], "ytrain": Y[:3], "xval": X[3:], "yval": Y[3:]}, TRAIN_VALIDATION),
        (  # as MedMNIST has them
            {
                "train_images": X[:2],
                "val_images": X[2:4],
                "test_images": X[4:],
                "train_labels": Y[:2, None],
                "val_labels": Y[2:4, None],
                "test_labels": Y[4:, None],
            },
            expected("train", "validation", "test"),
        ),
        ({"images": X, "y": Y}, expected(None)),
        ({"data": X, "target": Y}, expected(None)),
        ({"X": X, "labels": Y}, expected(None)),
        ({"images": X, "Labels": Y}, expected(None)),
        ({"arr_0": X, "arr_1": Y}, expected(None)),
        ({"arr_0": X[:3], "arr_1": Y[:3], "arr_2": X[3:], "arr_3": Y[3:]}, expected(None)),
        (
            {"x_train": X[:3], "y_train": Y[:3], "x_test": X[3:]},
            [*expected("train")[:3], *((n, None, "test") for n in (3, 4, 5))],
        ),
        ({"x": X[:3], "y": Y[:3], "images": X[3:], "labels": Y[3:]}, expected(None)),
    ],
)
def test_every_pair_of_arrays_is_read_with_the_split_that_its_names_tell(
    tmp_path: Path, arrays: dict[str, np.ndarray], rows: list[tuple[int, str | None, str | None]]
) -> None:
    path = saved(tmp_path / "a.npz", **arrays)
    assert read(path) == rows
    source = Npz(type="npz", path=str(path))
    assert (source.not_read(), source.notes(), source.size_hint()) == ([], [], 6)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS + 1, ["1", "3", "2", "1", "3", "2"]),  # no class 0
        (LABELS * 5, ["0", "10", "5", "0", "10", "5"]),  # holes
        (LABELS.astype(np.float32), ["0", "2", "1", "0", "2", "1"]),
        (np.where(LABELS == 2, -1, LABELS), ["0", None, "1", "0", None, "1"]),
        (np.where(LABELS == 2, np.nan, LABELS), ["0", None, "1", "0", None, "1"]),
        (LABELS > 0, ["False", "True", "True", "False", "True", "True"]),
        (np.array(["cat", "dog", "owl"])[LABELS], ["cat", "owl", "dog", "cat", "owl", "dog"]),
        (np.array([b"cat", b"dog", b"owl"])[LABELS], ["cat", "owl", "dog", "cat", "owl", "dog"]),
        (np.eye(3)[LABELS], ["0", "2", "1", "0", "2", "1"]),
        (np.eye(5, dtype=bool)[LABELS], ["0", "2", "1", "0", "2", "1"]),
        (np.asfortranarray(np.eye(3, dtype=np.int8)[LABELS]), ["0", "2", "1", "0", "2", "1"]),
        (np.array(["cat", "dog", "owl"])[LABELS][:, None], ["cat", "owl", "dog", "cat", "owl", "dog"]),
    ],
)
def test_labels_of_every_kind_name_the_classes_that_have_rows(
    tmp_path: Path, labels: np.ndarray, names: list[str | None]
) -> None:
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=labels)
    assert read(path) == [(number, name, None) for number, name in enumerate(names)]
    assert set(Npz(type="npz", path=str(path)).classes()) == {name for name in names if name}


def test_one_hot_rows_are_read_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_arrays, "READ_BYTES", 48)
    assert read(saved(tmp_path / "a.npz", images=PIXELS, labels=np.eye(3)[LABELS])) == expected(None)


def test_names_of_classes_in_the_file_name_the_numbers(tmp_path: Path) -> None:
    names = np.array(["cat", "dog", "owl"])
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS, class_names=names)
    assert read(path) == [(number, names[label], None) for number, label in enumerate(LABELS)]
    assert Npz(type="npz", path=str(path)).not_read() == []
    saved(path, images=PIXELS, labels=LABELS, class_names=names[:2])
    with pytest.raises(InputError, match="labels: the label 2 has no name, because class_names has 2"):
        read(path)
    saved(path, images=PIXELS, labels=LABELS, class_names=np.array(["cat", "cat", "owl"]))
    with pytest.raises(InputError, match="class_names: expected a name for each class, none twice"):
        read(path)


def test_each_file_is_read_by_its_own_names_of_classes(tmp_path: Path) -> None:
    saved(tmp_path / "train.npz", images=PIXELS[:3], labels=LABELS[:3], class_names=np.array(["cat", "dog", "owl"]))
    saved(tmp_path / "test.npz", images=PIXELS[3:], labels=LABELS[3:], class_names=np.array(["owl", "dog", "cat"]))
    assert sorted(read(tmp_path)) == [
        *((0, "cat", "train"), (1, "owl", "train"), (2, "dog", "train")),
        *((3, "owl", "test"), (4, "cat", "test"), (5, "dog", "test")),
    ]


@pytest.mark.parametrize(
    ("arrays", "sentences", "notes"),
    [
        ({"images": PIXELS, "labels": LABELS, "seeds": LABELS}, [r"arrays not read: seeds \(int64, shape \(6,\)\);"], []),
        ({"images": PIXELS, "labels": LABELS, "masks": PIXELS}, [r"arrays not read: masks \(uint8, shape"], []),
        ({"x": PIXELS, "y": LABELS, "labels": LABELS}, ["arrays not read: labels "], []),
        (
            {"images": PIXELS, "fine": LABELS, "coarse": LABELS},
            ["arrays not read: fine .*, coarse "],
            ["images is read without labels; if fine, coarse has them, name both: `images: .images.`, `labels: .fine.`"],
        ),
        (
            {"x_train": PIXELS, "x": np.zeros((6, 3)), "labels": LABELS},
            ["x .*, labels "],
            ["x_train is read without labels; if x, "],
        ),
        ({"images": PIXELS, "labels": LABELS, "about": np.array([{}], object)}, [r"about \(object, shape \(1,\)\)"], []),
    ],
)
def test_an_array_that_is_not_read_is_named(
    tmp_path: Path, arrays: dict[str, np.ndarray], sentences: list[str], notes: list[str]
) -> None:
    source = Npz(type="npz", path=str(saved(tmp_path / "a.npz", **arrays)))
    assert len(list(source.items())) == 6
    for found, words in ((source.not_read(), sentences), (source.notes(), notes)):
        assert len(found) == len(words)
        assert all(re.search(pattern, sentence) for pattern, sentence in zip(words, found, strict=True))


def test_labels_alone_can_be_named_or_turned_off(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS, fine=LABELS + 3)
    assert [row[1] for row in read(path, labels=["fine"])] == [str(label + 3) for label in LABELS]
    assert read(path, labels=[]) == [(number, None, None) for number in range(6)]
    assert Npz(type="npz", path=str(path), labels=[]).notes() == []
    with pytest.raises(InputError, match=r"2 names in `labels` but 1 arrays of images \(images\)"):
        read(path, labels=["fine", "labels"])


def test_npy_files_of_a_folder_belong_together(tmp_path: Path) -> None:
    for name, array in {"x_train": X[:3], "y_train": Y[:3], "test/images": X[3:], "test/labels": Y[3:]}.items():
        path = tmp_path / "arrays" / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, array)
    (tmp_path / "arrays/notes.txt").write_text("hello")
    (tmp_path / "arrays/.hidden.npy").write_text("hello")
    source = Npz(type="npz", path=str(tmp_path / "arrays"))
    assert read(tmp_path / "arrays") == expected("train", "test")
    assert source.not_read() == ["files not read: notes.txt; only those that end in .npz or .npy are"]
    assert source.left_out() == {"hidden files": 1}


def test_a_single_npy_is_images_without_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", PIXELS)
    assert read(tmp_path / "faces.npy") == [(number, None, None) for number in range(6)]
    np.save(tmp_path / "x_test.npy", PIXELS)
    assert read(tmp_path / "x_test.npy") == [(number, None, "test") for number in range(6)]


def test_files_behind_a_pattern_are_all_read_and_what_else_is_in_them_is_named(tmp_path: Path) -> None:
    saved(tmp_path / "part-1.npz", images=PIXELS[:3], labels=LABELS[:3])
    saved(tmp_path / "part-2.npz", images=PIXELS[3:], labels=LABELS[3:])
    saved(tmp_path / "other.npz", images=PIXELS)
    with zipfile.ZipFile(tmp_path / "part-2.npz", "a") as archive:
        archive.writestr("README.txt", "hello")
    source = Npz(type="npz", path=str(tmp_path / "part-*.npz"))
    assert read(tmp_path / "part-*.npz") == expected(None)
    assert [item.path for item in source.items()][2:4] == ["part-1.npz: images[2]", "part-2.npz: images[0]"]
    assert source.not_read() == ["not read, because only arrays are: README.txt"]


def test_a_file_that_is_something_else_is_said_to_be_that(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n")
    with pytest.raises(InputError, match=r"this is a git-lfs pointer.*git lfs pull"):
        read(path)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([[1, 0], [0, 0], [0, 1]]), ["0", None, "1"]),
        (np.array([[0, 0, 1.0], [0, 0, 0], [0, 0, 0]]), ["2", None, None]),
        (np.array([[True, False], [False, False], [False, False]]), ["0", None, None]),
        (np.array(["cat", "cat\n", " dog\t"]), ["cat", "cat", "dog"]),
        (np.array([b"big\r\ncat ", b" ", b"big cat"]), ["big cat", None, "big cat"]),
    ],
)
def test_rows_of_zeros_have_no_label_and_names_no_blanks_around(
    tmp_path: Path, labels: np.ndarray, expected: list[str | None]
) -> None:
    source = Npz(type="npz", path=str(saved(tmp_path / "a.npz", images=PIXELS[:3], labels=labels)))
    names = source.classes()
    assert [None if item.label is None else names[item.label] for item in source.items()] == expected


def test_class_names_have_no_blanks_around(tmp_path: Path) -> None:
    names = np.array(["cat ", "dog\n", " owl"])
    path = saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS, class_names=names)
    assert Npz(type="npz", path=str(path)).classes() == ["cat", "dog", "owl"]
