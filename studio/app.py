"""The studio's application, put together: who asks, what they may, and who answers."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response

from pipelines.core.images import Limits
from pipelines.core.project import Project
from studio import api, description, health, pages
from studio.authentication import Access
from studio.incoming_events import Incoming
from studio.loop_gauges import LoopGauges
from studio.middleware import RequestGuard
from studio.monitoring import Monitor
from studio.painter import Painter
from studio.pictures import PictureShortcut
from studio.problems import Problem, respond
from studio.recorder import Recorder
from studio.service import StudioService
from studio.settings import StudioSettings
from studio.tokens import Tokens

STATIC = Path(__file__).with_name("static")
MOST = 10_000_000, 4096, 16_000_000  # bytes, pixels a side and pixels of an upload, whatever `ingest` would take
MOST_GIVEN = 4  # as large ones as may be, in one form; of small ones more
OVERHEAD = 64 * 1024  # of a form around it; base64 adds a third


def make(project: Project, settings: StudioSettings, log: Callable[[str], None]) -> FastAPI:
    """The application. Its painter looks for the champion as soon as it is started. InputError where params are unusable."""
    painter, monitor = Painter(project, log), Monitor()
    params, tokens = painter.params, Tokens(settings.secret, painter.params.studio.token_hours)
    recorder = Recorder(project.database_url, painter.learn, log)
    ingest = params.ingest
    limits = Limits(*map(min, zip((ingest.max_bytes, ingest.max_side, ingest.max_pixels), MOST, strict=True)))
    access = Access(settings, tokens)
    service = StudioService(project, painter, recorder, tokens, Incoming(project, tokens, limits), monitor)
    gauges = LoopGauges(project, painter.registry, log)
    monitor.registry.register(gauges)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        painter.start()
        gauges.start()
        yield
        gauges.close()
        recorder.close()  # what was said is stored, whatever else is cut short
        painter.close()
        service.close()

    app = FastAPI(title="Genloop studio", version="1", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.service, app.state.access = service, access
    app.include_router(health.make(service))
    app.include_router(api.make(service, access))
    app.include_router(pages.make(service, access))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @functools.lru_cache(maxsize=1)
    def described(classes: tuple[str, ...] | None, longest: int) -> dict[str, Any]:
        return description.describe(app, classes, longest)

    @app.get("/api/v1/openapi.json", include_in_schema=False)
    async def openapi() -> dict[str, Any]:
        guide = painter.guide
        classes = tuple(guide.sampler.classes if guide.sampler.conditional else ()) if guide else None
        return described(classes, painter.longest_prompt)

    add_handlers(app)
    app.add_middleware(GZipMiddleware, minimum_size=1000)
    app.add_middleware(PictureShortcut, service=service)
    large = {"/api/v1/events": limits.max_bytes * 4 // 3 + OVERHEAD, "/give": MOST_GIVEN * limits.max_bytes + OVERHEAD}
    app.add_middleware(
        RequestGuard,
        settings=settings,
        access=access,
        monitor=monitor,
        large=large,
        per_minute=params.studio.requests_per_minute,
    )
    return app


def add_handlers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        return respond(error, request)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        faults = [
            {"place": ".".join(str(part) for part in fault["loc"]), "reason": str(fault["msg"])} for fault in error.errors()
        ]
        return respond(Problem(422, f"{faults[0]['place']}: {faults[0]['reason']}", faults), request)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        found = Problem(error.status_code, str(error.detail))
        found.headers = dict(error.headers or {})
        return respond(found, request)

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        logging.getLogger("genloop.studio").error("the studio has a bug", exc_info=error)
        return respond(Problem(500, "the studio has a bug; its log says more"), request)
