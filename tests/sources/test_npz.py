"""npz: the usual layouts are found, rows come in order, and what is no array of pixels or labels is said by name."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.sources import npz
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
    monkeypatch.setattr(npz, "READ_BYTES", 45)  # two rows
    images, labels = rows(saved(tmp_path / "a.npz", images=PIXELS, labels=LABELS))
    assert (np.stack(images) == PIXELS).all()
    assert labels == LABELS.tolist()


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"images": np.array([PIXELS, None], object), "labels": LABELS}, "images: an array of Python objects"),
        ({"images": PIXELS, "labels": LABELS.astype(object)}, "labels: an array of Python objects"),
        ({"images": PIXELS, "labels": LABELS.astype(float)}, "labels: expected whole numbers .* came float64"),
        ({"images": PIXELS, "labels": LABELS.astype(str)}, "labels: expected whole numbers"),
        (
            {"images": PIXELS, "labels": np.eye(3)[LABELS].astype(int)},
            r"labels: expected whole numbers of shape \(n,\)",
        ),
        ({"images": PIXELS, "labels": LABELS - 1}, "labels must not be negative, but row 0 has -1"),
        ({"images": PIXELS, "labels": LABELS + 10**6}, "labels must be at most 99999, but row 0 has 1000000"),
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
        (tmp_path, "no regular file"),
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
