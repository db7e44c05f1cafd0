"""Middleware: what every request passes before anything else sees it, and what every answer gets on its way out.

A request is refused for a name that is not ours, a foreign page behind it, too many of them, or a body that is too large or too
slow. The body is read here, whole and counted, so that nothing further in can be made to hold more.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import secrets
import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studio.authentication import Access
from studio.monitoring import Monitor
from studio.problems import Problem, respond
from studio.settings import StudioSettings

SMALL = 64 * 1024  # bytes of a body that holds no image
PATIENCE = 20.0  # seconds for a whole body
MOST_RANGE = 200  # characters of a header Range
FREE = ("/static/", "/healthz", "/readyz", "/metrics")  # paths that are not counted
QUIET = (*FREE, "/api/v1/samples/")  # that no line is logged about when all is well: figures count them
ADDRESS = 10  # times as many requests as a visitor may an address have: an office, or a school
SAFE = {"GET", "HEAD", "OPTIONS"}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'"
)
log = logging.getLogger("genloop.studio")


class RequestGuard:
    """large: paths whose bodies may hold images of so many bytes."""

    def __init__(
        self, app: ASGIApp, settings: StudioSettings, access: Access, monitor: Monitor, large: dict[str, int], per_minute: int
    ) -> None:
        self.app, self.settings, self.access, self.monitor, self.large = app, settings, access, monitor, large
        self.run, self.numbers = secrets.token_hex(4), itertools.count()  # of which the id of a request is made
        self.limiter = FixedWindowRateLimiter(MemoryStorage())
        self.of_visitor, self.of_address = (RateLimitItemPerMinute(per_minute * factor) for factor in (1, ADDRESS))
        framed_by = {False: "'none'", True: " ".join(("'self'", *settings.widget_origins))}  # the widget alone
        self.headers = {widget: headers(f"{POLICY}; frame-ancestors {origins}") for widget, origins in framed_by.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request, began = Request(scope), time.perf_counter()
        scope = {**scope, "method": "GET"} if request.method == "HEAD" else scope  # the server leaves out the body
        path, number, status = scope["path"], f"{self.run}{next(self.numbers):06x}", 500
        extra = self.headers[path.startswith("/widget")]

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message["headers"], *extra, (b"x-request-id", number.encode())]}
            await send(message)

        try:
            self.check(request)
            body = await self.read(request, receive)
            await self.app(scope, replay(body, receive), answer)
        except Problem as problem:
            await respond(problem, request)(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", None) or "other"
            self.monitor.answered(request.method, route, status, seconds)
            if not path.startswith(QUIET if status < 400 else FREE):
                facts = {"id": number, "method": request.method, "path": path[:200], "status": status}
                log.info("request", extra={"facts": {**facts, "ms": round(1000 * seconds, 1)}})

    def check(self, request: Request) -> None:
        """Raises Problem for a request that must not be answered."""
        host = request.headers.get("host", "")
        if hostname(host) not in self.settings.hosts:
            raise Problem(400, "the studio is not asked by this name; GENLOOP_STUDIO_HOSTS lists others that it may have")
        if request.method not in SAFE and "authorization" not in request.headers:
            origin = request.headers.get("origin")
            if origin is not None and origin.partition("://")[2] != host:
                raise Problem(403, "the request comes from the page of another site")
            if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                raise Problem(403, "the request comes from the page of another site")
        if len(request.headers.get("range", "")) > MOST_RANGE:
            raise Problem(416, "too many ranges")
        if request.scope["path"].startswith(FREE):
            return
        address = request.client.host if request.client else "?"
        try:
            caller = self.access.of_key(request)
        except Problem:
            self.count(self.of_address, "address", address)
            raise
        if caller is None or not caller.has_key:
            self.count(self.of_address, "address", address)
            if visitor := caller.name if caller else self.access.visitor(request):
                self.count(self.of_visitor, "visitor", visitor)
            elif request.scope["path"] in self.large and request.method not in SAFE:
                raise Problem(401, "expected `Authorization: Bearer KEY`, or the cookie of the page", WWW_Authenticate="Bearer")

    def count(self, item: RateLimitItemPerMinute, kind: str, name: str) -> None:
        if not self.limiter.hit(item, kind, name):
            wait = max(1, round(self.limiter.get_window_stats(item, kind, name).reset_time - time.time()))
            raise Problem(429, f"too many requests in a minute; again in {wait} s", Retry_After=str(wait))

    async def read(self, request: Request, receive: Receive) -> bytes:
        """The whole body. Raises Problem for one that is too large, or takes too long."""
        if not {"content-length", "transfer-encoding"} & {*request.headers}:
            return b""
        most = self.large.get(request.scope["path"], SMALL)
        told = request.headers.get("content-length", "0")
        if told.isdigit() and int(told) > most:
            raise Problem(413, f"the body is too large; expected at most {most:,} bytes", Connection="close")
        found = bytearray()
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "the body has no end")
                    found += message.get("body", b"")
                    if len(found) > most:
                        raise Problem(413, f"the body is too large; expected at most {most:,} bytes", Connection="close")
                    if not message.get("more_body", False):
                        return bytes(found)
        except TimeoutError:
            raise Problem(408, f"the body did not come within {PATIENCE:.0f} s", Connection="close") from None


def headers(policy: str) -> list[tuple[bytes, bytes]]:
    """What every answer gets. policy: Content-Security-Policy."""
    found = {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "cross-origin-opener-policy": "same-origin",
    }
    return [(name.encode(), value.encode()) for name, value in found.items()]


def hostname(host: str) -> str:
    """The name in a header Host, without the port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] or host


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body that has been read, and then what the client does."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again
