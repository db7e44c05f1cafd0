"""Images that people sent: found beside the imported file or in the record, proved, kept by their sha256."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Callable

import numpy as np
import pytest

from pipelines.core import png
from pipelines.core.errors import GenloopError
from pipelines.core.images import Limits
from pipelines.core.project import Project
from pipelines.feedback.events import RecordError
from pipelines.feedback.sealed import uploads

LIMITS = Limits(max_bytes=100_000, max_side=64, max_pixels=2000)
PICTURE = png.encode(np.arange(64, dtype=np.uint8).reshape(8, 8, 1))


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(RecordError) as found:
        call()
    return str(found.value)


def header(width: int, height: int) -> bytes:
    """A PNG that says so of itself and has nothing to show for it."""
    about = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return png.SIGNATURE + png.chunk(b"IHDR", about) + png.chunk(b"IDAT", b"") + png.chunk(b"IEND", b"")


def test_an_image_is_kept_once_by_the_hash_of_its_bytes(project: Project) -> None:
    digest = uploads.keep(project.uploads, PICTURE, LIMITS)
    assert digest == hashlib.sha256(PICTURE).hexdigest()
    assert uploads.keep(project.uploads, PICTURE, LIMITS) == digest
    assert [path.name for path in project.uploads.iterdir()] == [digest]
    assert uploads.read(project.uploads, digest) == PICTURE
    uploads.remove(project.uploads, digest)
    uploads.remove(project.uploads, digest)
    assert list(project.uploads.iterdir()) == []


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
def test_what_cannot_be_decoded_or_is_too_large_is_not_kept(project: Project, data: bytes, words: str) -> None:
    assert refused(lambda: uploads.keep(project.uploads, data, LIMITS)) == f"unusable image: image: {words}"
    assert not project.uploads.exists()


def test_an_image_that_is_gone_or_changed_is_said(project: Project) -> None:
    digest = uploads.keep(project.uploads, PICTURE, LIMITS)
    (project.uploads / digest).write_bytes(b"other")
    with pytest.raises(GenloopError, match="its bytes are not what was sent"):
        uploads.read(project.uploads, digest)
    uploads.remove(project.uploads, digest)
    with pytest.raises(GenloopError, match="it does not exist; restore it"):
        uploads.read(project.uploads, digest)


def test_an_image_is_a_file_beside_or_base64_or_one_that_is_kept(project: Project) -> None:
    beside = project.root / "export"
    (beside / "deep").mkdir(parents=True)
    (beside / "deep/a b.png").write_bytes(PICTURE)
    text = base64.b64encode(PICTURE).decode()
    for image in ("deep/a b.png", str(beside / "deep/a b.png"), text, f"data:image/png;base64,{text}"):
        assert uploads.find(project.uploads, image, beside, LIMITS) == PICTURE
    assert uploads.find(project.uploads, uploads.keep(project.uploads, PICTURE, LIMITS), beside, LIMITS) == PICTURE


@pytest.mark.parametrize(
    "image",
    ["../secret.png", "link.png", "circle", "folder", "missing.png", "a\0b", "x" * 5000, "QUJD", "", "0" * 64, "not base64!"],
)
def test_no_name_leads_out_of_the_file_s_folder(project: Project, image: str) -> None:
    beside = project.root / "export"
    (beside / "folder").mkdir(parents=True)
    (project.root / "secret.png").write_bytes(PICTURE)
    (beside / "link.png").symlink_to(project.root / "secret.png")
    (beside / "circle").symlink_to(beside / "circle")
    assert "unusable image" in refused(
        lambda: uploads.keep(project.uploads, uploads.find(project.uploads, image, beside, LIMITS), LIMITS)
    )


def test_a_file_that_is_too_large_is_not_read(project: Project) -> None:
    with (project.root / "large.png").open("wb") as file:
        file.truncate(2**40)
    assert "too many bytes in large.png" in refused(lambda: uploads.find(project.uploads, "large.png", project.root, LIMITS))


@pytest.mark.parametrize("image", [None, 7, ["a.png"], {"bytes": "x"}])
def test_an_image_is_text(project: Project, image: object) -> None:
    assert refused(lambda: uploads.find(project.uploads, image, project.root, LIMITS)).startswith(
        "wrong type: image: expected text, came "
    )
