"""A file by its path or an fsspec URL, pinned by its sha256; a copy of one from elsewhere is kept."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import Progress

MOST_BYTES = 512 * 2**20  # no file of weights that is read here is nearly as large
CHUNK = 2**20


def read(place: str, sha256: str, downloads: Path | None) -> bytes:
    """The content of the file at `place`.

    Args:
        downloads: the folder in which a file from elsewhere is kept.

    Raises:
        InputError: it cannot be read, or is not the file that `sha256` stands for.
    """
    protocol, separator, _ = place.partition("://")
    if not separator or protocol in ("file", "local") or downloads is None:
        return check(fetch(place, "expected the path of a file, or a URL such as s3://bucket/file"), place, sha256)
    copy = downloads / sha256
    with contextlib.suppress(OSError):
        content = copy.read_bytes()
        if digest(content) == sha256:  # a damaged one is fetched again
            return content
    by_hand = f"download it where there is a network (`curl -L -o {sha256} {place}`), then put it here: {copy}"
    content = check(fetch(place, by_hand), place, sha256)
    with contextlib.suppress(OSError):  # a folder that cannot be written only costs time
        files.write(copy, content)
    return content


def fetch(place: str, hint: str) -> bytes:
    import fsspec

    content = bytearray()
    try:
        with Progress("fetch", None, "bytes") as progress, fsspec.open(place, "rb") as file:
            while chunk := file.read(CHUNK):
                content += chunk
                progress.advance(len(chunk))
                if len(content) > MOST_BYTES:
                    raise InputError(f"{place}: more than {MOST_BYTES:,} bytes; expected a file of weights")
    except (GenloopError, MemoryError):
        raise
    except Exception as error:  # each file system has errors of its own
        raise InputError(f"{place}: cannot be read ({type(error).__name__}: {error}); {hint}") from None
    return bytes(content)


def check(content: bytes, place: str, sha256: str) -> bytes:
    """The content, if it has this checksum."""
    found = digest(content)
    if found != sha256:
        raise InputError(
            f"{place}: {len(content):,} bytes with the sha256 {found} came, expected {sha256}; it is another file or a damaged "
            "one: fetch it again, or set reference.sha256 to what came if you know that it is the file you want"
        )
    return content


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
