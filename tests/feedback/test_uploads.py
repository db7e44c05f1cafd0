"""Images that people sent: found beside the imported file or in the record, proved, kept by their sha256."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import images
from pipelines.core.errors import GenloopError
from pipelines.core.images import Limits
from pipelines.feedback.events import Refused
from pipelines.feedback.sealed import uploads

LIMITS = Limits(max_bytes=100_000, max_side=64, max_pixels=2000)
PICTURE = images.encode_png(np.arange(64, dtype=np.uint8).reshape(8, 8, 1))


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(Refused) as found:
        call()
    return str(found.value)


def header(width: int, height: int) -> bytes:
    """A PNG that says so of itself and has nothing to show for it."""
    about = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return images.PNG + images.chunk(b"IHDR", about) + images.chunk(b"IDAT", b"") + images.chunk(b"IEND", b"")


def test_an_image_is_kept_once_by_the_hash_of_its_bytes(project: Path) -> None:
    digest = uploads.keep(PICTURE, LIMITS)
    assert digest == hashlib.sha256(PICTURE).hexdigest()
    assert uploads.keep(PICTURE, LIMITS) == digest
    assert [path.name for path in uploads.FOLDER.iterdir()] == [digest]
    assert uploads.read(digest) == PICTURE
    uploads.remove(digest)
    uploads.remove(digest)
    assert list(uploads.FOLDER.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "zero bytes"),
        (b"<html>" * 20, "not an image"),
        (PICTURE[:-20], "truncated or damaged"),
        (header(60_000, 60_000), "too many pixels"),
        (header(65, 1), "side too long"),
        (PICTURE + b"x" * 100_000, "too many bytes"),
    ],
)
def test_what_cannot_be_decoded_or_is_too_large_is_not_kept(project: Path, data: bytes, words: str) -> None:
    assert refused(lambda: uploads.keep(data, LIMITS)) == f"unusable image: image: {words}"
    assert not uploads.FOLDER.exists()


def test_an_image_that_is_gone_or_changed_is_said(project: Path) -> None:
    digest = uploads.keep(PICTURE, LIMITS)
    (uploads.FOLDER / digest).write_bytes(b"other")
    with pytest.raises(GenloopError, match="its bytes are not what was sent"):
        uploads.read(digest)
    uploads.remove(digest)
    with pytest.raises(GenloopError, match="it is not there; restore it"):
        uploads.read(digest)


def test_an_image_is_a_file_beside_or_base64_or_one_that_is_kept(project: Path) -> None:
    beside = project / "export"
    (beside / "deep").mkdir(parents=True)
    (beside / "deep/a b.png").write_bytes(PICTURE)
    text = base64.b64encode(PICTURE).decode()
    for image in ("deep/a b.png", str(beside / "deep/a b.png"), text, f"data:image/png;base64,{text}"):
        assert uploads.find(image, beside, LIMITS) == PICTURE
    assert uploads.find(uploads.keep(PICTURE, LIMITS), beside, LIMITS) == PICTURE


@pytest.mark.parametrize(
    "image",
    ["../secret.png", "link.png", "circle", "folder", "missing.png", "a\0b", "x" * 5000, "QUJD", "", "0" * 64, "not base64!"],
)
def test_no_name_leads_out_of_the_file_s_folder(project: Path, image: str) -> None:
    beside = project / "export"
    (beside / "folder").mkdir(parents=True)
    (project / "secret.png").write_bytes(PICTURE)
    (beside / "link.png").symlink_to(project / "secret.png")
    (beside / "circle").symlink_to(beside / "circle")
    assert "unusable image" in refused(lambda: uploads.keep(uploads.find(image, beside, LIMITS), LIMITS))


def test_a_file_that_is_too_large_is_not_read(project: Path) -> None:
    with (project / "large.png").open("wb") as file:
        file.truncate(2**40)
    assert "too many bytes in large.png" in refused(lambda: uploads.find("large.png", project, LIMITS))


@pytest.mark.parametrize("image", [None, 7, ["a.png"], {"bytes": "x"}])
def test_an_image_is_text(project: Path, image: object) -> None:
    assert refused(lambda: uploads.find(image, project, LIMITS)).startswith("wrong type: image: expected text, came ")
