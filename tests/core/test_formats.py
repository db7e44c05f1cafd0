"""What a file is, by its first bytes."""

from __future__ import annotations

import pytest

from pipelines.core import formats


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "a git-lfs pointer, not the file itself; fetch the file with `git lfs pull`",
        ),
        (b"\x00\x05\x16\x07\x00\x02", "an AppleDouble file of macOS, which holds no data; delete it"),
        (b"", "an empty file"),
        (b"\xef\xbb\xbfid;label\r\n", "a CSV file"),
        (b"id\tlabel\n", "a CSV file"),
        (b" [1, 2]", "a JSON file"),
        (b"\n<html>", "an HTML or XML page, perhaps of a server instead of the file"),
        (b"Entry not found", "a text file"),
        (b"PK\x03\x04\x14", "a zip archive, as npz files are"),
        (bytes(100), None),
        (b"\x01\x02\x03", None),
        (b"  \n", None),
    ],
)
def test_files_are_described_by_their_beginning(head: bytes, expected: str | None) -> None:
    assert formats.describe(head) == expected
