"""Events as a browser or a product's backend sends them, checked against what was shown, and when.

An event happened between when its sample was shown and now: whatever it says of its time counts within these, so that votes
that had to wait for a connection keep their times, and nobody can put a vote where none could have been cast.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from pipelines.core import images, png
from pipelines.core.project import Project
from pipelines.feedback.events import IMPORTED, TYPES, Event, RecordError, Sample, parse, to_json, utc_timestamp
from pipelines.feedback.sealed import uploads
from studio.authentication import Caller
from studio.tokens import OF_PAGE, Grant, TokenError, Tokens

SAMPLES = {"vote": ("sample",), "choice": ("winner", "loser"), "report": ("sample",)}
MOST_METADATA = 1_000_000  # bytes of a text or a colour profile
FORMATS = {"PNG", "JPEG", "WEBP"}
UNSUPPORTED = {"not an image", "unsupported format", "archive", "git-lfs pointer"}
TOO_LARGE = {"too many bytes", "side too long", "too many pixels"}


class Rejected(Exception):  # noqa: N818  (an event is, and the others go on)
    """Why an event is not stored. status: of the answer, where it came alone."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Incoming:
    """limits: of uploaded images."""

    project: Project
    tokens: Tokens
    limits: images.Limits

    def read(self, record: Any, caller: Caller, now: datetime) -> Event:
        """The event of a record. Raises Rejected."""
        if not isinstance(record, dict):
            raise Rejected(422, "expected a mapping with the keys of an event")
        fields = dict(record)
        kind = fields.get("type")
        if not isinstance(kind, str) or kind not in TYPES:
            raise Rejected(422, f"type: expected one of {', '.join(TYPES)}")
        name = fields.setdefault("id", uuid.uuid4().hex)
        if isinstance(name, str) and name.startswith(IMPORTED):
            raise Rejected(422, f"id: ids that begin with {IMPORTED} are given by imports alone")
        if "row" in fields and not caller.has_key:
            raise Rejected(403, "only the holder of a key may speak of rows")
        for name in ("at", "rater"):
            if not isinstance(fields.get(name, ""), str):
                raise Rejected(422, f"{name}: expected text")
        grants = self.grants(fields, kind)
        owner = fields["rater"] = owner_of(grants, fields.get("rater"), caller)
        if kind == "erase" and owner != caller.name and owner.startswith(OF_PAGE) and "admin" not in caller.scopes:
            raise Rejected(403, "rater: a visitor of the page asks for that on the page")
        fields["at"] = clip(fields.get("at"), max((grant.at for grant in grants), default=now), now)
        if kind == "upload":
            fields["image"] = self.keep(fields.get("image"))
        try:
            return parse(fields, now)
        except RecordError as error:
            raise Rejected(422, error.detail.partition(" (came")[0]) from None

    def grants(self, fields: dict[str, Any], kind: str) -> list[Grant]:
        """What the tokens of an event's samples say; they are taken out of `fields`."""
        token, found = fields.pop("token", None), []
        for name in SAMPLES.get(kind, ()):
            if (content := fields.get(name)) is None:
                continue
            if not isinstance(content, dict):
                raise Rejected(422, f"{name}: expected a mapping with version, seed and label or prompt")
            fields[name] = {key: value for key, value in content.items() if key != "token"}
            try:
                found.append(self.tokens.read(content.get("token", token), Sample.model_validate(fields[name])))
            except ValidationError as error:
                fault = error.errors(include_url=False, include_input=False)[0]
                place = ".".join([name, *(str(part)[:60] for part in fault["loc"])])
                raise Rejected(422, f"{place}: {fault['msg']}") from None
            except TokenError as error:
                raise Rejected(403, str(error)) from None
        return found

    def keep(self, image: Any) -> str:
        """Store an image that came as base64, encoded anew, so that nothing but its pixels is left; its sha256.

        Raises Rejected for what is no PNG, JPEG or WebP with one frame, within the limits.
        """
        if not isinstance(image, str):
            raise Rejected(415, "image: expected base64")
        try:
            data = base64.b64decode(uploads.DATA_URI.sub("", image, count=1), validate=True)
        except ValueError:
            raise Rejected(415, "image: expected base64") from None
        try:
            images.refuse_early(data, self.limits)
            if data.startswith(png.SIGNATURE) and (kind := png.has_bomb(data, MOST_METADATA)):
                raise images.Refusal("too many bytes" if kind != b"iCCP" else "truncated or damaged")
            with images.open_image(data) as lazy:
                if lazy.format not in FORMATS:
                    raise images.Refusal("unsupported format")
            if images.has_more_frames(data):
                raise images.Refusal("more than one frame")
            pixels = images.decode_pixels(data, self.limits)
        except images.Refusal as refusal:
            status = 415 if refusal.reason in UNSUPPORTED else 413 if refusal.reason in TOO_LARGE else 422
            raise Rejected(status, f"image: {refusal.reason}") from None
        except Exception:  # of a decoder, on bytes that were made to break it
            raise Rejected(422, "image: truncated or damaged") from None
        try:
            return uploads.keep(self.project.uploads, png.encode(pixels), self.limits)
        except RecordError as error:
            raise Rejected(422, error.detail) from None


def owner_of(grants: Sequence[Grant], given: Any, caller: Caller) -> str:
    """Whose event it is: whom its samples were shown to, else who asks, or whom the holder of a key names."""
    visitors = {grant.visitor for grant in grants}
    if len(visitors) > 1:
        raise Rejected(403, "the samples were shown to two visitors")
    owner = visitors.pop() if visitors else given if caller.has_key and isinstance(given, str) else caller.name
    if not caller.has_key and owner != caller.name:
        raise Rejected(403, "the sample was shown to another visitor")
    if given is not None and given != owner:
        raise Rejected(403, "rater: expected the visitor whom the sample was shown to, or who asks")
    return owner


def clip(given: Any, earliest: datetime, now: datetime) -> datetime:
    """When an event happened, as far as that can be believed."""
    try:
        claimed = utc_timestamp(given)
    except PydanticCustomError:
        return now
    return min(max(claimed, earliest), now)


def same(first: Event, second: Event) -> bool:
    """Whether two events say the same, whenever they came."""
    return to_json(first) == to_json(second.model_copy(update={"at": first.at}))
