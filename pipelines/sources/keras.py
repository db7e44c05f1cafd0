"""keras: the data sets of Keras, from its ordinary cache (KERAS_HOME or ~/.keras), downloaded where that works.

The cached files are read directly: importing Keras takes seconds and hundreds of megabytes.
"""

from __future__ import annotations

import gzip
import os
import pickle
import sys
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pipelines.core.errors import InputError
from pipelines.sources.base import Item, Split, SplitSource
from pipelines.sources.npz import Npz

CLASSES = {
    "mnist": [str(digit) for digit in range(10)],
    "fashion_mnist": [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ],
    "cifar10": ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
}  # fmt: skip
BATCHES = "datasets/cifar-10-batches-py-target/cifar-10-batches-py"
FILES = {
    "mnist": ["datasets/mnist.npz"],
    "fashion_mnist": [
        f"datasets/fashion-mnist/{part}-{kind}-ubyte.gz"
        for part in ("train", "t10k")
        for kind in ("images-idx3", "labels-idx1")
    ],
    "cifar10": [f"{BATCHES}/{name}" for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")],
}
DOWNLOAD = """
import os, socket, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()  # ends with its parent
socket.setdefaulttimeout(30)
import keras
keras.datasets.{dataset}.load_data()
"""


class Keras(SplitSource):
    type: Literal["keras"]
    dataset: Literal["mnist", "fashion_mnist", "cifar10"]

    def classes(self) -> list[str]:
        return CLASSES[self.dataset]

    def items(self) -> Iterator[Item]:
        paths = cached_files(self.dataset)
        if self.dataset == "mnist":
            npz = Npz(type="npz", path=str(paths[0]))
            names, digits = npz.classes(), self.classes()
            if not set(names) <= set(digits):
                raise damaged_file(paths[0], ValueError(f"labels: {', '.join(names)}"))
            for item in npz.items():
                yield item if item.label is None else replace(item, label=digits.index(names[item.label]))
        elif self.dataset == "fashion_mnist":
            yield from read_idx(paths[0], paths[1], "train")
            yield from read_idx(paths[2], paths[3], "test")
        else:
            for path in paths:
                yield from read_batch(path, "test" if path.name == "test_batch" else "train")

    def size_hint(self) -> int | None:
        return 60_000 if self.dataset == "cifar10" else 70_000


def cached_files(dataset: str) -> list[Path]:
    """The files of `dataset` in Keras' cache; raises InputError where they are missing and cannot be downloaded."""
    paths = [keras_home() / name for name in FILES[dataset]]
    if all(path.is_file() for path in paths):
        return paths
    answer = download(dataset)
    if missing := [path for path in paths if not path.is_file()]:
        raise InputError(
            f"keras: {dataset} is not in Keras' cache and could not be downloaded ({answer}); where there is a network, "
            f"run `python -c 'import keras; keras.datasets.{dataset}.load_data()'`, then put here: "
            f"{', '.join(map(str, missing))}"
        )
    return paths


def keras_home() -> Path:
    """Keras' folder, by the same rules as in Keras."""
    if folder := os.environ.get("KERAS_HOME"):
        return Path(folder)
    user = Path.home()
    return (user if os.access(user, os.W_OK) else Path("/tmp")) / ".keras"


def download(dataset: str) -> str:
    """Let Keras fill its cache, in a process of its own so that its memory is freed, and return the last line that it wrote."""
    import subprocess

    command = [sys.executable, "-c", DOWNLOAD.format(dataset=dataset)]
    # Nothing is ever written to its stdin: that closes when this process ends, however it ends.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as process:
        assert process.stderr is not None
        lines = process.stderr.read().strip().splitlines()
    return lines[-1] if lines else "no reason given"


def read_idx(images: Path, labels: Path, split: Split) -> Iterator[Item]:
    """The IDX format of MNIST and its kin: a header of 16 or 8 bytes, then bytes."""
    import numpy as np

    try:
        with gzip.open(labels) as file:
            numbers = np.frombuffer(file.read(), np.uint8, offset=8).tolist()
        with gzip.open(images) as file:
            count, height, width = np.frombuffer(file.read(16), ">u4")[1:].tolist()
            if count != len(numbers) or max(numbers) >= 10:
                raise ValueError(f"{count} images and {len(numbers)} labels from 0 to {max(numbers)}")
            for row, label in enumerate(numbers):
                pixels = np.frombuffer(file.read(height * width), np.uint8).reshape(height, width)
                yield Item(pixels, label, f"{images.name}[{row}]", split=split)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise damaged_file(images, error) from None


def read_batch(path: Path, split: Split) -> Iterator[Item]:
    """One of CIFAR-10's Python pickles, {b"data": (n, 3072) uint8 of 3 x 32 x 32, b"labels": n numbers}."""
    try:
        with path.open("rb") as file:
            content = Unpickler(file, encoding="bytes").load()
        pixels = content[b"data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels = [int(label) for label in content[b"labels"]]
        if str(pixels.dtype) != "uint8" or len(labels) != len(pixels) or not all(0 <= label < 10 for label in labels):
            raise ValueError("not the arrays expected")
    except Exception as error:  # a pickle can raise anything
        raise damaged_file(path, error) from None
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        yield Item(image, label, f"{path.name}[{number}]", split=split)


class Unpickler(pickle.Unpickler):
    """Reads arrays, bytes and plain containers; a pickle that wants anything else is refused: it could run code."""

    def find_class(self, module: str, name: str) -> Any:
        import numpy as np

        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return reconstruct_array
        if (module, name) in (("numpy", "ndarray"), ("numpy", "dtype")):
            return getattr(np, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs")


def reconstruct_array(kind: type, shape: tuple[int, ...], dtype: bytes) -> Any:
    """NumPy's own `_reconstruct`, for plain arrays only."""
    import numpy as np

    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"it asks for an array of type {kind}")
    return np.ndarray(shape, np.dtype(dtype.decode()))


def damaged_file(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: this is not the file that Keras keeps there ({error}); delete it to fetch it again")
