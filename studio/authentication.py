"""Authentication: who asks holds an API key, or is a visitor of the page, whom a signed cookie knows by a random name."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from studio.problems import Problem
from studio.settings import StudioSettings
from studio.tokens import YEAR, Tokens, new_visitor

COOKIE = "genloop_visitor"
OF_VISITORS = frozenset({"generate", "events"})


@dataclass(frozen=True)
class Caller:
    """name: of the visitor, or of who holds the key. scopes: what may be asked for."""

    name: str
    scopes: frozenset[str]
    has_key: bool


class Access:
    def __init__(self, settings: StudioSettings, tokens: Tokens) -> None:
        self.settings, self.tokens = settings, tokens

    def of_key(self, request: Request) -> Caller | None:
        """The holder of the key that comes with a request; None where none comes. Raises Problem for one that nobody has.

        The widget, which has no cookies of ours, sends what would be in one: `Authorization: Visitor …`.
        """
        header = request.headers.get("authorization")
        if header is None:
            return None
        scheme, _, key = header.partition(" ")
        if scheme.lower() == "visitor" and (visitor := self.tokens.read_visitor(key)) is not None:
            return Caller(visitor, OF_VISITORS, False)
        for known in self.settings.keys:
            if scheme.lower() == "bearer" and hmac.compare_digest(known.key.encode(), key.strip().encode()):
                return Caller(known.name, known.scopes, True)
        raise Problem(401, "the API key is not known; expected `Authorization: Bearer KEY`", WWW_Authenticate="Bearer")

    def visitor(self, request: Request) -> str | None:
        return self.tokens.read_visitor(request.cookies.get(COOKIE))

    def require(self, request: Request, scope: str) -> Caller:
        """Who asks, if they may. Raises Problem."""
        caller = self.of_key(request)
        if caller is None and (visitor := self.visitor(request)) is not None:
            caller = Caller(visitor, OF_VISITORS, False)
        if caller is None or (scope not in caller.scopes and not caller.has_key):
            raise Problem(401, "expected `Authorization: Bearer KEY`, or the cookie of the page", WWW_Authenticate="Bearer")
        if scope not in caller.scopes:
            raise Problem(403, f"this key may not do that; it lacks the scope {scope!r}")
        return caller

    def welcome(self, request: Request) -> str:
        """The visitor of a page, who gets a name at the first one; `remember` has to be told it then."""
        if getattr(request.state, "visitor", None) is None:
            request.state.visitor = self.visitor(request) or new_visitor()
        return str(request.state.visitor)

    def remember(self, request: Request, response: Response, visitor: str) -> None:
        response.set_cookie(
            COOKIE,
            self.tokens.sign_visitor(visitor),
            max_age=YEAR,
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="lax",
        )
