"""Places: files, folders and patterns, here and behind URLs, are listed in the same way."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from pipelines.core.errors import InputError
from pipelines.sources import places

FILES = ("b.parquet", "a.PARQUET", "c.txt", "deep/er/d.parquet", "._b.parquet", "deep/_e/f.parquet", ".git/g.parquet")


@pytest.fixture(params=["local", "file", "memory", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """What stands before and after the path of a place with FILES."""
    if request.param == "memory":
        memory = fsspec.filesystem("memory")
        for name in FILES:
            memory.pipe(f"/listed/{name}", name.encode())
        yield "memory://listed", ""
        memory.rm("/listed", recursive=True)
        return
    for name in FILES:
        (tmp_path / "listed" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "listed" / name).write_text(name)
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            for name in FILES:
                archive.writestr(f"listed/{name}", name)
        yield "zip://listed", f"::file://{tmp_path}/a.zip"
    else:
        yield {"local": "", "file": "file://"}[request.param] + f"{tmp_path}/listed", ""


@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        ("", ["a.PARQUET", "b.parquet", "deep/er/d.parquet"]),
        ("/deep", ["deep/er/d.parquet"]),
        ("/*.parquet", ["b.parquet"]),
        ("/[ab].*", ["a.PARQUET", "b.parquet"]),
        ("/?.parquet", ["b.parquet"]),
        ("/**/*.parquet", ["b.parquet", "deep/er/d.parquet"]),
        ("/*/er/*", ["deep/er/d.parquet"]),
        ("/d*", ["deep/er/d.parquet"]),  # a folder that matches is searched
        ("/c.*", ["c.txt"]),  # what a pattern asks for by another ending
        ("/c.txt", ["c.txt"]),
        ("/._b.parquet", ["._b.parquet"]),
        ("/deep/_*/*.parquet", ["deep/_e/f.parquet"]),
        ("/none*", []),
    ],
)
def test_files_folders_and_patterns_are_listed(place: tuple[str, str], inside: str, expected: list[str]) -> None:
    before, after = place
    found = places.list_files(f"{before}{inside}{after}", (".parquet",))
    contents = []
    for path in found:
        with places.open_file(path) as file:
            contents.append(file.read().decode())
    assert contents == expected


@pytest.mark.parametrize("inside", ["/none.parquet", "/nowhere/*.parquet", "/nowhere/**"])
def test_what_is_not_there_is_said(place: tuple[str, str], inside: str) -> None:
    with pytest.raises(InputError, match="there is nothing there"):
        places.list_files(f"{place[0]}{inside}{place[1]}", (".parquet",))


def test_hidden_files_are_listed_as_such(place: tuple[str, str]) -> None:
    found = places.list_all("".join(place))
    assert [file.name for file in found] == sorted(FILES)
    assert [file.name for file in found if file.hidden] == ["._b.parquet", ".git/g.parquet", "deep/_e/f.parquet"]


def test_names_with_brackets_are_names_where_they_exist(tmp_path: Path) -> None:
    folder = tmp_path / "scans [2024]"
    folder.mkdir()
    (folder / "a[1].npz").write_text("1")
    (folder / "a1.npz").write_text("2")
    assert places.list_files(f"{folder}/a[1].npz", (".npz",)) == [f"{folder}/a[1].npz"]
    assert places.list_files(f"{folder}/a*.npz", (".npz",)) == [f"{folder}/a1.npz", f"{folder}/a[1].npz"]
    assert places.list_files(str(folder), (".npz",)) == [f"{folder}/a1.npz", f"{folder}/a[1].npz"]


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_the_home_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.npz").write_text("1")
    assert places.list_files(f"{prefix}~/*.npz", (".npz",)) == [f"{tmp_path}/a.npz"]
    with pytest.raises(InputError, match="the home folder is not known here"):
        places.local("~nobody-at-all/a.npz")


@pytest.mark.parametrize("path", ["~nobody-at-all/x", "file://~nobody-at-all/x", "~nobody-at-all/**/*.parquet"])
def test_the_home_folder_of_nobody_is_said_by_whoever_looks_there(path: str) -> None:
    looks = (places.local, places.list_all, places.state, lambda path: places.open_file(path).__enter__())
    for look in looks:
        with pytest.raises(InputError) as raised:
            look(path)
        assert str(raised.value) == f"{path}: the home folder is not known here; expected a path without `~`"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_listed_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert [file.name for file in places.list_all(str(tmp_path))] == ["closed"]


def test_links_to_folders_are_listed_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to(tmp_path)
    (tmp_path / "a.npz").write_text("1")
    assert [file.name for file in places.list_all(str(tmp_path))] == ["a.npz", "round"]


def test_an_unknown_protocol_is_said_with_known_ones() -> None:
    with pytest.raises(InputError, match="foo://x/y: Protocol not known: foo; some that are known: s3, gs, http, https, file"):
        places.list_all("foo://x/y")
