"""A file by its path or an fsspec URL, pinned by its sha256; what came from elsewhere is kept in the user's cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import Progress

MOST_BYTES = 512 * 2**20  # no file of weights that is read here is nearly as large
CHUNK = 2**20


def read(place: str, sha256: str) -> bytes:
    """The content of the file at `place`.

    Raises:
        InputError: it cannot be had, or is not the file that `sha256` stands for.
    """
    if is_local(place):
        return checked(fetch(place, "expected the path of a file, or a URL such as s3://bucket/file"), place, sha256)
    kept = cache() / sha256
    with contextlib.suppress(OSError):
        content = kept.read_bytes()
        if digest(content) == sha256:  # a damaged one is fetched again
            return content
    by_hand = f"download it where there is a network (`curl -L -o {sha256} {place}`), then put it here: {kept}"
    content = checked(fetch(place, by_hand), place, sha256)
    with contextlib.suppress(OSError):  # a cache that cannot be written only costs time
        files.write(kept, content)
    return content


def is_local(place: str) -> bool:
    protocol, separator, _ = place.partition("://")
    return not separator or protocol in ("file", "local")


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genloop"


def fetch(place: str, advice: str) -> bytes:
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
        raise InputError(f"{place}: cannot be read ({type(error).__name__}: {error}); {advice}") from None
    return bytes(content)


def checked(content: bytes, place: str, sha256: str) -> bytes:
    came = digest(content)
    if came != sha256:
        raise InputError(
            f"{place}: {len(content):,} bytes with the sha256 {came} came, expected {sha256}; it is another file or a damaged "
            "one: fetch it again, or set reference.sha256 to what came if you know that it is the file you want"
        )
    return content


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
