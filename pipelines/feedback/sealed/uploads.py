"""data/uploads: the images that people sent, each under the sha256 of its bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.feedback.events import Refused, brief

if TYPE_CHECKING:
    from pipelines.core.images import Limits

FOLDER = Path("data/uploads")  # in the project's root
SHA256 = re.compile("[0-9a-f]{64}")
DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,")


def keep(data: bytes, limits: Limits) -> str:
    """Write an image as it came, once it has proved that it can be decoded; its sha256.

    Raises:
        Refused: it cannot, or it is larger than the limits.
    """
    from pipelines.core import images

    digest = hashlib.sha256(data).hexdigest()
    if not (FOLDER / digest).is_file():
        try:
            images.decode(data, limits)
        except images.Refusal as refusal:
            raise Refused("unusable image", f"image: {refusal.reason}") from None
        files.write(FOLDER / digest, data)
    return digest


def read(digest: str) -> bytes:
    """Raises GenloopError where the image is missing or no longer what it was."""
    path = FOLDER / digest
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise GenloopError(f"{path}: an event holds this image, but it is not there; restore it from a backup") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise GenloopError(f"{path}: its bytes are not what was sent; restore it from a backup")
    return data


def remove(digest: str) -> None:
    (FOLDER / digest).unlink(missing_ok=True)
    for leftover in FOLDER.glob(f".{digest}.*.partial"):  # of an import that was killed
        leftover.unlink(missing_ok=True)


def find(image: object, beside: Path, limits: Limits) -> bytes:
    """What a record's `image` stands for: a file in the folder `beside`, base64, or the sha256 of an image that is kept.

    Raises:
        Refused: it is none of these, or lies outside of that folder, or is too large to be read.
    """
    if not isinstance(image, str):
        raise Refused("wrong type", f"image: expected text, came {brief.repr(image)}")
    if SHA256.fullmatch(image) and (FOLDER / image).is_file():
        return read(image)
    path = inside(image, beside)
    if path is None:
        return decoded(image)
    if path.stat().st_size > limits.max_bytes:
        raise Refused("unusable image", f"image: too many bytes in {path.name}")
    return path.read_bytes()


def inside(name: str, folder: Path) -> Path | None:
    """The file of this name, if it is a file and, links followed, in the folder."""
    try:
        path = (folder / name).resolve()
        return path if path.is_file() and path.is_relative_to(folder.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # too long for a name, or a NUL in it, or links in a circle
        return None


def decoded(text: str) -> bytes:
    try:
        data = base64.b64decode(DATA_URI.sub("", text, count=1), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) < 32:  # a name may look like base64, but no image is as short as that
        raise Refused("unusable image", f"image: expected a file beside the imported one, or base64; came {brief.repr(text)}")
    return data
