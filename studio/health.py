"""Live operations: whether the studio lives, whether it can show pictures, and its figures."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from studio.service import StudioService


def make(service: StudioService) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> JSONResponse:
        painter = service.painter
        state = {"version": painter.guide.version if painter.guide else None, "failure": painter.failure or None}
        return JSONResponse(state, 200 if painter.guide else 503)

    @router.get("/metrics")
    async def metrics() -> Response:
        painter, monitor = service.painter, service.monitor
        guide = painter.guide
        monitor.version.set(guide.version if guide else 0)
        monitor.failing.set(bool(painter.failure))
        monitor.judgements.set(len(guide.live.events) if guide else 0)
        monitor.guided.set(guide is not None and guide.live.model is not None)
        return Response(monitor.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
