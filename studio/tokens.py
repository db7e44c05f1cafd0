"""What the studio signs, so that nobody else can make it: who a visitor is, and which sample a visitor was shown."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from itsdangerous import BadSignature, SignatureExpired, URLSafeSerializer, URLSafeTimedSerializer

from pipelines.feedback.events import Sample

OF_PAGE = "visitor-"  # how the names of the page's visitors begin
YEAR = 365 * 24 * 3600  # seconds


class TokenError(Exception):
    """Raised for a token that is forged, expired, or of another sample; the message says which."""


@dataclass(frozen=True)
class Grant:
    """What a token says: that a sample was shown to a visitor, and when."""

    visitor: str
    sample: Sample
    at: datetime


class Tokens:
    """hours: how long a sample's token holds."""

    def __init__(self, secret: str, hours: int) -> None:
        self.visitors = URLSafeSerializer(secret, salt="genloop-visitor")
        self.samples = URLSafeTimedSerializer(secret, salt="genloop-sample")
        self.age = hours * 3600

    def sign_visitor(self, visitor: str) -> str:
        return str(self.visitors.dumps(visitor))

    def read_visitor(self, cookie: str | None) -> str | None:
        """The visitor of a cookie; None where there is none, or the studio has not signed it."""
        try:
            return str(self.visitors.loads(cookie)) if cookie else None
        except BadSignature:
            return None

    def sign(self, visitor: str, sample: Sample) -> str:
        return str(self.samples.dumps([visitor, *content_of(sample)]))

    def read(self, token: object, sample: Sample) -> Grant:
        """Whom `sample` was shown to. Raises TokenError."""
        if not isinstance(token, str) or len(token) > 1000:
            raise TokenError("the sample's token is missing")
        try:
            (visitor, *key), at = self.samples.loads(token, max_age=self.age, return_timestamp=True)
        except SignatureExpired:
            raise TokenError("the token has expired; ask for new samples") from None
        except BadSignature:
            raise TokenError("the token is not one that this studio has given") from None
        if key != content_of(sample):
            raise TokenError("the token is of another sample")
        return Grant(visitor, sample, at)


def content_of(sample: Sample) -> list[Any]:
    """What a token says of a sample: its key, with the hash of a prompt, which may be long, and nothing where there is none."""
    *numbers, prompt = sample.key
    return [*numbers, hashlib.sha256(prompt.encode()).hexdigest()] if prompt else numbers


def new_visitor() -> str:
    """A random name: nothing personal is known of a visitor."""
    return f"{OF_PAGE}{secrets.token_hex(12)}"
