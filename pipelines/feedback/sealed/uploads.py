"""data/uploads: the images of uploads, each under the sha256 of its bytes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.feedback.events import RecordError, short_repr

if TYPE_CHECKING:
    from pipelines.core.images import Limits

SHA256 = re.compile("[0-9a-f]{64}")
DATA_URI = re.compile(r"data:image/[a-z0-9.+-]+;base64,")


def keep(folder: Path, data: bytes, limits: Limits) -> str:
    """Store an image as it came; its sha256. Raises RecordError where it cannot be decoded within the limits."""
    from pipelines.core import images

    digest = hashlib.sha256(data).hexdigest()
    if not (folder / digest).is_file():
        try:
            images.decode(data, limits)
        except images.Refusal as refusal:
            raise RecordError("unusable image", f"image: {refusal.reason}") from None
        files.write(folder / digest, data)
    return digest


def read(folder: Path, digest: str) -> bytes:
    """Raises GenloopError where the image is missing or no longer what it was."""
    path = folder / digest
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise GenloopError(f"{path}: an event holds this image, but it does not exist; restore it from a backup") from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise GenloopError(f"{path}: its bytes are not what was sent; restore it from a backup")
    return data


def remove(folder: Path, digest: str) -> None:
    (folder / digest).unlink(missing_ok=True)
    for leftover in folder.glob(f".{digest}.*.partial"):  # of an import that was killed
        leftover.unlink(missing_ok=True)


def find(folder: Path, image: object, imports: Path, limits: Limits) -> bytes:
    """What a record's `image` stands for: a file in the folder `imports`, base64, or the sha256 of an image that is kept.

    Raises RecordError where it is none of these, or lies outside of that folder, or is too large to be read.
    """
    if not isinstance(image, str):
        raise RecordError("wrong type", f"image: expected text, came {short_repr(image)}")
    if SHA256.fullmatch(image) and (folder / image).is_file():
        return read(folder, image)
    path = file_in(image, imports)
    if path is None:
        return decode_base64(image)
    if path.stat().st_size > limits.max_bytes:
        raise RecordError("unusable image", f"image: too many bytes in {path.name}")
    return path.read_bytes()


def file_in(name: str, folder: Path) -> Path | None:
    """The file of this name, if it is a file and, links followed, in the folder."""
    try:
        path = (folder / name).resolve()
        return path if path.is_file() and path.is_relative_to(folder.resolve()) else None
    except (OSError, ValueError, RuntimeError):  # too long for a name, or a NUL in it, or links in a circle
        return None


def decode_base64(text: str) -> bytes:
    try:
        data = base64.b64decode(DATA_URI.sub("", text, count=1), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if len(data) < 32:  # a name may look like base64, but no image is as short as that
        came = short_repr(text)
        raise RecordError("unusable image", f"image: expected a file beside the imported one, or base64; came {came}")
    return data
