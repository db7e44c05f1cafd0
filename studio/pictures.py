"""Pictures, which a page asks for by the dozen: a well-formed request for one is answered here, before all else is looked at.

Not so one with a prompt, which has to be decoded and looked up. The API describes the operation, and answers what is not
well-formed.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

from starlette.types import ASGIApp, Receive, Scope, Send

from pipelines.core.numbers import SEEDS
from studio import api
from studio.service import StudioService

PATH = re.compile(rf"/api/v1/samples/([1-9][0-9]{{0,8}})/(0|[1-9][0-9]{{0,9}})/{api.LABEL.pattern}\.png")
ROUTE = SimpleNamespace(path=f"/api/v1{api.PICTURE}")  # for the figures of `monitoring`
HEADERS = [(name.encode(), value.encode()) for name, value in {"content-type": "image/png", **api.PICTURE_HEADERS}.items()]


class PictureShortcut:
    """Middleware. Raises Problem as the API's operation does."""

    def __init__(self, app: ASGIApp, service: StudioService) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = PATH.fullmatch(scope["path"]) if scope["type"] == "http" and scope["method"] == "GET" else None
        if found is None or int(found[2]) >= SEEDS or b"prompt" in scope["query_string"]:
            await self.app(scope, receive, send)
            return
        scope["route"] = ROUTE
        picture = await self.service.picture((int(found[1]), int(found[2]), api.number_of(found[3]), ""))
        headers = [*HEADERS, (b"content-length", str(len(picture)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": picture})
