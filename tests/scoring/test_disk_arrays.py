"""Rows on disk are the rows that were put there, whatever file they lie in; a file that cannot be read is named."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import reduce
from itertools import pairwise, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.core.errors import InputError
from pipelines.metrics import fid
from pipelines.metrics.moments import GroupedMoments, Moments
from pipelines.scoring import disk_arrays
from tests.conftest import REPOSITORY


def rows(count: int = 500, width: int = 7, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(0).standard_normal((count, width)).astype(dtype)


def npy(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.save(file, array)


def npz(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez(file, before=np.arange(3), features=array)


def packed(path: Path, array: np.ndarray) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, before=np.arange(3), features=array)


FORMATS = (npy, npz, packed)


@pytest.mark.parametrize("write", FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "float64", ">f4", "float16"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_any_file_of_features_reads_as_the_same_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Callable[[Path, np.ndarray], None], dtype: str, order: str
) -> None:
    monkeypatch.setattr(disk_arrays, "CHUNK_BYTES", 1000)  # in many pieces
    array = rows(dtype=dtype)
    write(tmp_path / "some", np.asarray(array, order=order))  # type: ignore[call-overload]
    found = disk_arrays.load(tmp_path / "some", "features")
    assert found.shape == array.shape
    assert found[0:500].dtype == found.dtype == ("float64" if dtype == "float64" else "float32")
    assert found.dtype.isnative
    assert np.array_equal(found[0:500], array)
    assert np.array_equal(np.concatenate([chunk for _, chunk in found.chunks()]), array)


@settings(max_examples=50, deadline=None)
@given(start=st.integers(-60, 60), stop=st.integers(-60, 60))
def test_a_slice_is_numpy_s(tmp_path_factory: pytest.TempPathFactory, start: int, stop: int) -> None:
    path = tmp_path_factory.mktemp("slices") / "some"
    npy(path, rows(50))
    assert np.array_equal(disk_arrays.load(path, "features")[start:stop], rows(50)[start:stop])


def test_rows_that_are_read_take_the_memory_of_the_slice_only(tmp_path: Path) -> None:
    array = np.lib.format.open_memmap(tmp_path / "large.npy", "w+", np.float32, (400_000, 256))  # 400 MB of zeros
    array.flush()
    del array
    program = (
        "import resource, sys; from pathlib import Path; from pipelines.scoring import disk_arrays\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for _, chunk in disk_arrays.load(Path(sys.argv[1]), 'features').chunks(): assert not chunk.any()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "large.npy")], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 80_000  # KiB


def test_metrics_take_them_as_they_take_arrays(tmp_path: Path) -> None:
    array = rows(40_000)  # more than the moments' chunk
    npy(tmp_path / "some", array)
    groups = np.arange(len(array)) % 5
    on_disk, in_memory = (
        GroupedMoments.from_vectors(some, groups, 5) for some in (disk_arrays.load(tmp_path / "some", "features"), array)
    )
    assert np.array_equal(on_disk.scatters, in_memory.scatters)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.array([[1, "a"]], object), "an array of Python objects, which could run code when read, is refused"),
        (np.ones((3, 2), int), "expected features as float16, float32 or float64, came int64"),
        (np.ones(3), r"expected features of the shape \(n, d\), a row for each image, came \(3,\)"),
        (np.ones((3, 0)), r"came \(3, 0\)"),
    ],
)
@pytest.mark.parametrize("write", [npz, packed])
def test_what_is_no_array_of_features_is_refused(
    tmp_path: Path, write: Callable[[Path, np.ndarray], None], array: np.ndarray, words: str
) -> None:
    write(tmp_path / "some.npz", array)
    with pytest.raises(InputError, match=words):
        disk_arrays.load(tmp_path / "some.npz", "features")


def test_an_archive_without_the_array_says_what_there_is(tmp_path: Path) -> None:
    np.savez(tmp_path / "some.npz", vectors=rows(), labels=np.arange(500))
    with pytest.raises(InputError, match="no array 'features'; there are: vectors, labels"):
        disk_arrays.load(tmp_path / "some.npz", "features")


@pytest.mark.parametrize("write", FORMATS)
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, write: Callable[[Path, np.ndarray], None]) -> None:
    write(tmp_path / "some", rows())
    content = (tmp_path / "some").read_bytes()
    (tmp_path / "some").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="cut short"):
        disk_arrays.load(tmp_path / "some", "features")


@pytest.mark.parametrize("write", [npz, packed])
def test_damaged_rows_are_refused(tmp_path: Path, write: Callable[[Path, np.ndarray], None]) -> None:
    write(tmp_path / "some", rows())
    content = bytearray((tmp_path / "some").read_bytes())
    content[len(content) // 2] ^= 255
    (tmp_path / "some").write_bytes(content)
    with pytest.raises(InputError, match="the file is damaged or cut short"):
        disk_arrays.load(tmp_path / "some", "features")


def test_a_header_that_promises_more_than_the_member_holds_is_refused(tmp_path: Path) -> None:
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 8)})
    with zipfile.ZipFile(tmp_path / "some.npz", "w") as archive:
        archive.writestr("features.npy", content.getvalue() + bytes(64))
    with pytest.raises(InputError, match="fewer numbers than its header says"):
        disk_arrays.load(tmp_path / "some.npz", "features")


def test_what_is_not_there_or_of_another_kind_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"some\.npz: there is nothing there; expected an \.npz file with an array 'features'"):
        disk_arrays.load(tmp_path / "some.npz", "features")
    with pytest.raises(InputError, match="this is no file"):
        disk_arrays.load(tmp_path, "features")
    (tmp_path / "some.npz").write_text("hello")
    with pytest.raises(InputError, match=r"neither an \.npz nor an \.npy file"):
        disk_arrays.load(tmp_path / "some.npz", "features")


def test_a_number_that_is_not_finite_is_named_by_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_arrays, "CHUNK_BYTES", 1000)
    array = rows()
    array[321, 4] = np.inf
    npy(tmp_path / "some.npy", array)
    with pytest.raises(InputError, match="every number must be finite, but row 321 has inf in column 4"):
        disk_arrays.digest(disk_arrays.load(tmp_path / "some.npy", "features"))


def test_a_digest_is_of_the_rows_and_not_of_their_file(tmp_path: Path) -> None:
    digests = set()
    for write in FORMATS:
        write(tmp_path / "some", rows())
        digests.add(disk_arrays.digest(disk_arrays.load(tmp_path / "some", "features")))
    assert len(digests) == 1
    npy(tmp_path / "some", rows()[::-1])
    assert disk_arrays.digest(disk_arrays.load(tmp_path / "some", "features")) not in digests


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 500), max_size=6), dtype=st.sampled_from(["float32", "float64"]))
def test_what_is_appended_in_any_chunks_is_there(cuts: list[int], dtype: str) -> None:
    array = rows(dtype=dtype)
    writer = disk_arrays.temporary_writer("rows")
    for chunk in np.split(array, sorted(cuts)):
        writer.append(chunk)
    found = writer.finish()
    assert np.array_equal(found[0 : len(found)], array)
    assert found.dtype == dtype


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    with disk_arrays.create(tmp_path / "rows.npy") as writer:
        for chunk in np.split(rows(), 5):
            writer.append(chunk)
            assert not (tmp_path / "rows.npy").exists()
    assert np.array_equal(np.load(tmp_path / "rows.npy"), rows())
    assert os.listdir(tmp_path) == ["rows.npy"]


def test_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "rows.npy").write_text("before")
    with pytest.raises(KeyboardInterrupt), disk_arrays.create(tmp_path / "rows.npy") as writer:
        writer.append(rows())
        raise KeyboardInterrupt
    assert (tmp_path / "rows.npy").read_text() == "before"
    assert os.listdir(tmp_path) == ["rows.npy"]


def test_a_file_without_a_name_shows_in_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_arrays.tempfile, "tempdir", str(tmp_path))
    writer = disk_arrays.temporary_writer("rows")
    writer.append(rows())
    assert writer.finish()[0:2].shape == (2, 7)
    assert os.listdir(tmp_path) == []


PART = """
import pickle, sys; from pathlib import Path
from pipelines.scoring import disk_arrays; from pipelines.metrics.moments import Moments
rows = disk_arrays.load(Path(sys.argv[1]), "features")
Path(sys.argv[4]).write_bytes(pickle.dumps(Moments.from_rows(rows[int(sys.argv[2]) : int(sys.argv[3])])))
"""


def test_parts_that_other_processes_computed_merge_in_any_order(tmp_path: Path) -> None:
    array = rows(3000, 16, "float64") * np.geomspace(1e-3, 1e3, 16) + np.arange(16)
    npz(tmp_path / "rows.npz", array)
    cuts = (0, 100, 900, 2000, 3000)
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", PART, str(tmp_path / "rows.npz"), str(first), str(last), str(tmp_path / f"{first}.pickle")],
            cwd=REPOSITORY,
        )
        for first, last in pairwise(cuts)
    ]
    assert [machine.wait(120) for machine in machines] == [0] * len(machines)
    parts = [pickle.loads((tmp_path / f"{first}.pickle").read_bytes()) for first in cuts[:-1]]
    whole = Moments.from_rows(array)
    spread = np.sqrt(np.diag(whole.scatter))
    for order in permutations(parts):
        merged = reduce(Moments.merge, order)
        assert merged.count == whole.count
        assert np.allclose(merged.mean, whole.mean, rtol=1e-12, atol=0)
        assert (np.abs(merged.scatter - whole.scatter) <= 1e-12 * np.outer(spread, spread)).all()
        assert fid.frechet(merged, whole) <= 1e-12 * np.trace(whole.covariance)
