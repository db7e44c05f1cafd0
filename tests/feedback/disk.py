"""What a database has on the disk."""

from __future__ import annotations

from pathlib import Path


def of_postgres(folder: Path) -> bytes:
    """All files in a folder of a running server, but for its cache of the catalogue, which comes and goes."""
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "pg_internal.init")
