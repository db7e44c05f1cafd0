"""keras: the cached files are read as Keras would, nothing is unpickled that could run, and a missing file is named."""

from __future__ import annotations

import gzip
import os
import pickle
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil
import pytest

from pipelines.core.errors import InputError
from pipelines.sources import keras
from pipelines.sources.keras import BATCHES, FILES, Keras
from tests.conftest import REPOSITORY

PIXELS = np.random.default_rng(0).integers(0, 256, (10, 28, 28), np.uint8)
COLOURS = np.random.default_rng(1).integers(0, 256, (10, 3, 32, 32), np.uint8)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(keras, "download", lambda dataset: "no network in tests")
    for paths in FILES.values():
        for path in paths:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    return tmp_path


def read(dataset: str) -> tuple[np.ndarray, list[int | None]]:
    items = list(Keras(type="keras", dataset=dataset).items())
    return np.stack([item.image for item in items]), [item.label for item in items]


def write_fashion(home: Path) -> None:
    for number, path in enumerate(FILES["fashion_mnist"]):
        images = "images" in path
        header = struct.pack(">IIII", 2051, 10, 28, 28) if images else struct.pack(">II", 2049, 10)
        with gzip.open(home / path, "wb") as file:
            file.write(header + ((PIXELS + number).tobytes() if images else bytes(range(10))))


def write_cifar(home: Path, content: Any = None) -> None:
    plain = {b"data": COLOURS.reshape(10, -1), b"labels": list(range(10)), b"filenames": [b"a.png"] * 10}
    for path in FILES["cifar10"]:
        with (home / path).open("wb") as file:
            Python2(file, protocol=2).dump(plain if content is None else content)


class Python2(pickle._Pickler):
    """Writes bytes and text as Python 2 wrote its strings; CIFAR-10's batches come from there."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, text: bytes | str) -> None:
        content = text.encode() if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_string


def test_mnist_comes_from_its_npz(home: Path) -> None:
    labels = np.arange(10, dtype=np.uint8)
    np.savez(home / "datasets/mnist.npz", x_train=PIXELS, y_train=labels, x_test=PIXELS[:2], y_test=labels[:2])
    images, found = read("mnist")
    assert (images == np.concatenate([PIXELS, PIXELS[:2]])).all()
    assert found == [*range(10), 0, 1]


def test_fashion_mnist_comes_from_its_idx_files(home: Path) -> None:
    write_fashion(home)
    images, labels = read("fashion_mnist")
    assert (images == np.concatenate([PIXELS, PIXELS + 2])).all()
    assert labels == [*range(10), *range(10)]
    assert Keras(type="keras", dataset="fashion_mnist").classes()[9] == "Ankle boot"


def test_cifar10_comes_from_its_batches(home: Path) -> None:
    write_cifar(home)
    images, labels = read("cifar10")
    assert images.shape == (60, 32, 32, 3)
    assert (images[:10] == COLOURS.transpose(0, 2, 3, 1)).all()
    assert labels == [*range(10)] * 6


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("content", [Trap(), {b"data": Trap(), b"labels": [0]}])
def test_a_batch_that_would_run_code_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch, content: Any) -> None:
    monkeypatch.chdir(home)
    write_cifar(home, content)
    with pytest.raises(InputError, match=r"it asks for (posix|nt)\.mkdir"):
        read("cifar10")
    assert not (home / "ran").exists()


@pytest.mark.parametrize(
    "content",
    [
        {},
        [],
        {b"data": COLOURS.astype(float).reshape(10, -1), b"labels": list(range(10))},
        {b"data": COLOURS.reshape(10, -1), b"labels": [0]},
        {b"data": COLOURS.reshape(10, -1), b"labels": [99] * 10},
    ],
)
def test_a_batch_of_other_content_is_refused(home: Path, content: Any) -> None:
    write_cifar(home, content)
    with pytest.raises(InputError, match="not the file that Keras keeps there"):
        read("cifar10")


def test_a_cut_file_is_refused(home: Path) -> None:
    write_fashion(home)
    path = home / FILES["fashion_mnist"][0]
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="not the file that Keras keeps there"):
        read("fashion_mnist")
    (home / BATCHES / "data_batch_1").write_bytes(b"hello")
    write_cifar(home)
    (home / BATCHES / "data_batch_1").write_bytes((home / BATCHES / "data_batch_2").read_bytes()[:-50])
    with pytest.raises(InputError, match="data_batch_1"):
        read("cifar10")


@pytest.mark.parametrize("dataset", FILES)
def test_a_missing_file_is_named_with_what_to_do(home: Path, dataset: str) -> None:
    with pytest.raises(InputError) as caught:
        read(dataset)
    assert str(home / FILES[dataset][0]) in str(caught.value)
    assert f"keras.datasets.{dataset}.load_data()" in str(caught.value)
    assert "no network in tests" in str(caught.value)


def test_keras_is_not_imported_for_cached_files(home: Path) -> None:
    write_cifar(home)
    before = "keras" in sys.modules
    read("cifar10")
    assert ("keras" in sys.modules) == before


def test_a_download_that_fails_gives_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras, "DOWNLOAD", "raise SystemExit('no way to {dataset}')")
    assert keras.download("mnist") == "no way to mnist"


def test_a_download_ends_with_its_parent(tmp_path: Path) -> None:
    mark = tmp_path / "alive"
    waiting = f"open({str(mark)!r}, 'w').close(); import time; time.sleep(600)"
    child = keras.DOWNLOAD.partition("socket.setdefault")[0] + waiting
    code = f"from pipelines.sources import keras; keras.DOWNLOAD = {child!r}; keras.download('mnist')"
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    try:
        waited = time.monotonic() + 20
        while not mark.exists() and time.monotonic() < waited:
            time.sleep(0.05)
        children = psutil.Process(parent.pid).children()
    finally:
        parent.kill()
        parent.wait()
    assert len(children) == 1
    assert not psutil.wait_procs(children, timeout=10)[1]


@pytest.mark.parametrize("dataset", ["mnist", "fashion_mnist", "cifar10"])
def test_both_splits_are_read_and_named(home: Path, dataset: str) -> None:
    write_fashion(home)
    write_cifar(home)
    labels = np.array([3, 4, 5, 5, 4, 3, 3, 4, 5, 9])  # neither all digits nor from 0
    np.savez(home / FILES["mnist"][0], x_train=PIXELS, y_train=labels, x_test=PIXELS[:4], y_test=labels[:4])
    items = list(Keras(type="keras", dataset=dataset).items())  # type: ignore[arg-type]
    own = labels.tolist() if dataset == "mnist" else list(range(10))
    trained, tested = {"mnist": (1, own[:4]), "fashion_mnist": (1, own), "cifar10": (5, own)}[dataset]
    assert [(item.label, item.split) for item in items] == [
        *((label, "train") for label in own * trained),
        *((label, "test") for label in tested),
    ]
