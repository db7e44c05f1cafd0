"""What a file is, by its first bytes: for messages about files of another kind than expected."""

from __future__ import annotations

LFS_POINTER = b"version https://git-lfs"  # what git keeps in place of a large file

# How files of other formats begin -> what they are.
BEGINNINGS = {
    LFS_POINTER: "a git-lfs pointer, not the file itself; fetch the file with `git lfs pull`",
    b"\x00\x05\x16\x07": "an AppleDouble file of macOS, which holds no data; delete it",
    b"ARROW1": "an Arrow or Feather file; make Parquet of it (`pandas.read_feather(...).to_parquet(...)`)",
    b"\xff\xff\xff\xff": "an Arrow stream, as `datasets` keeps it; make Parquet of it (`load_from_disk(...).to_parquet(...)`)",
    b"PK\x03\x04": "a zip archive, as npz files are",
    b"\x93NUMPY": "a NumPy array (npy)",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"PAR1": "a Parquet file",
    b"PARE": "an encrypted Parquet file",
    b"SQLite format 3": "an SQLite database",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}


def describe(head: bytes) -> str | None:
    """What a file is, in words, by its first bytes (some hundred); None where they do not tell."""
    for start, words in BEGINNINGS.items():
        if head.startswith(start):
            return words
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        return "an empty file"
    if any(byte < 9 for byte in head) or not text:
        return None
    if text.startswith((b"{", b"[")):
        return "a JSON file"
    if text.startswith(b"<"):
        return "an HTML or XML page, perhaps of a server instead of the file"
    return "a CSV file" if any(comma in text.splitlines()[0] for comma in (b",", b";", b"\t")) else "a text file"
