"""Errors as answers: application/problem+json (RFC 9457) for programs. What came is never sent back, however it came."""

from __future__ import annotations

from html import escape
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from pipelines.core.errors import GenloopError, InputError
from pipelines.registry.versions import NoVersionError
from studio import translations
from studio.batcher import NotReadyError
from studio.painter import WithheldError

MEDIA_TYPE = "application/problem+json"


PAGE = """<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/static/studio.css"></head>
<body><main><h1>{title}</h1><p>{detail}</p><p><a href="/">{back}</a></p></main></body></html>"""


class Problem(Exception):  # noqa: N818  (RFC 9457 calls it so)
    """An answer that says what is wrong. errors: of a body, each with its place."""

    def __init__(self, status: int, detail: str, errors: list[dict[str, str]] | None = None, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors = status, detail, errors
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def respond(problem: Problem, request: Request) -> Response:
    """For programs; as a small page where a person has opened an address."""
    if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
        language = translations.choose(request.cookies.get(translations.COOKIE), request.headers.get("accept-language", ""))
        t = translations.translator(language)
        title = t("That page is not there") if problem.status == 404 else t("Something is wrong")
        page = PAGE.format(language=language, title=title, detail=escape(t(problem.detail)), back=t("Back"))
        return HTMLResponse(page, problem.status, problem.headers)
    content: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.errors:
        content["errors"] = problem.errors
    return JSONResponse(content, problem.status, problem.headers, MEDIA_TYPE)


def from_error(error: GenloopError) -> Problem:
    """The answer to an error of the inside."""
    words = str(error).replace("--label", "label").replace("--count", "count").replace("--prompt", "prompt")
    if isinstance(error, NotReadyError):
        return Problem(503, words, Retry_After="5")
    if isinstance(error, NoVersionError | WithheldError):
        return Problem(404, words)
    if isinstance(error, InputError):
        return Problem(422, words)
    return Problem(503, words, Retry_After="5")
