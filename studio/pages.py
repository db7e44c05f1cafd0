"""The pages: Draw, Compare, Mine, Give and Progress, made on the server; htmx puts parts of them in place."""

from __future__ import annotations

import math
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as FromPath
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException

from operations.generate import class_index
from pipelines.core.numbers import HOTTEST, LONGEST_PROMPT, SEEDS
from pipelines.feedback.events import Sample
from pipelines.feedback.store.event_store import EventStore
from studio import bodies, chart, translations
from studio.api import PromptText, check_prompt
from studio.authentication import OF_VISITORS, Access, Caller
from studio.overview import Overview
from studio.problems import Problem
from studio.service import ShownPicture, StudioService, page_of, url_of
from studio.tokens import new_visitor

CHANCE = secrets.SystemRandom()  # Keras seeds Python's own as it builds a model
HISTORY = 120  # votes of a visitor that Mine shows
SAME_SEEDS = 12  # pictures of every version that Progress shows
SCORES = {"approval": "what people like", "fid": "distance to real images"}
MOST_TYPED = 2 * LONGEST_PROMPT  # characters of a prompt that is read, to say that it is too long
MOST_FILES, MOST_FIELDS, MOST_FIELD = 20, 10, 64 * 1024  # of a form; the last one bytes of a field that is no file

Version = Annotated[int, Query(ge=1, lt=2**31)]
Seed = Annotated[int, Query(ge=0, lt=SEEDS)]
Label = Annotated[int | None, Query(ge=0, le=99_999)]
Taste = Annotated[str, Query(pattern="^(everyone|mine|off)$")]


class FavouriteBody(bodies.Body):
    sample: Sample
    on: bool


class Pages:
    """Renders templates in the language of whoever asks."""

    def __init__(self, service: StudioService, access: Access) -> None:
        self.service, self.access = service, access
        self.templates = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("templates")),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters["log10"] = math.log10
        self.templates.filters["page_of"] = page_of
        self.overview = Overview(service.project, service.painter.registry)

    async def page(self, request: Request, name: str, remember: bool = True, **content: Any) -> HTMLResponse:
        """A whole page, or with `_` before its name a part of one. remember: its visitor, by a cookie."""
        language = translations.choose(request.cookies.get(translations.COOKIE), request.headers.get("accept-language", ""))
        shared: dict[str, Any] = {
            "t": translations.translator(language),
            "language": language,
            "languages": translations.LANGUAGES,
            "path": request.url.path,
            "failure": self.service.painter.failure,
            "reasons": self.service.painter.params.studio.reasons,
        }
        if not name.startswith("_"):
            shared["loop"] = await self.service.run(self.overview.loop, await self.service.run(self.service.counts))
        response = HTMLResponse(self.templates.get_template(name).render(**shared, **content))
        response.headers["cache-control"] = "no-store"
        response.headers["vary"] = "accept-language, cookie"
        visitor = self.access.welcome(request)
        if remember and visitor != self.access.visitor(request):
            self.access.remember(request, response, visitor)
        return response

    def visitor(self, request: Request) -> str:
        """Who asks for a part of a page. Raises Problem where no page was there before."""
        visitor = self.access.visitor(request)
        if visitor is None:
            raise Problem(401, "open the page first")
        return visitor

    async def state(self, taste: str = "everyone", visitor: str = "") -> dict[str, Any]:
        """What is known of people's taste, for the page's words. why: pictures are not chosen, where enough have judged."""
        guide = self.service.painter.guide
        if guide is None:
            return {"known": False, "judgements": 0, "needed": 0, "why": "", "own": 0, "taste": taste}
        guidance = await self.service.run(guide.guidance)
        needed = 0 if guide.live.model is not None else guide.live.learned.missing
        return {
            "known": guidance.model is not None,
            "judgements": len(guide.live.events),
            "needed": needed,
            "why": "" if guidance.model is not None or needed else guidance.why,
            "own": len(guide.live.judgements_of(visitor)) if visitor else 0,
            "taste": taste,
        }


def make(service: StudioService, access: Access) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    pages = Pages(service, access)
    painter, params = service.painter, service.painter.params.studio

    async def grid(
        visitor: str, count: int, label: str | None, taste: str, temperature: float | None, prompt: str = ""
    ) -> list[ShownPicture]:
        rater, guided = visitor if taste == "mine" else None, taste != "off"
        asked = prompt if prompt.strip() else None
        shown = await service.show(visitor, painter.grid, count, label or None, rater, temperature, guided, prompt=asked)
        return shown.pictures

    async def present(visitor: str, sample: Sample) -> ShownPicture:
        """A picture that a visitor has asked for by its seed. Raises Problem where there is none, or it was flagged."""
        await service.picture(sample.key)
        sampler, _ = await service.run(painter.sampler, sample.version)
        name = sampler.classes[sample.label] if sample.label is not None else ""
        return ShownPicture(sample, url_of(sample), service.tokens.sign(visitor, sample), False, None, name)

    @router.get("/")
    async def draw(request: Request) -> Response:
        if painter.guide is None:
            return await pages.page(request, "first_run.html", run=await service.run(pages.overview.first_run))
        visitor = access.welcome(request)
        found = await grid(visitor, params.grid, None, "everyone", None)
        favourites = await service.ask(lambda store: store.favourites(visitor))
        return await pages.page(
            request,
            "draw.html",
            pictures=found,
            favourites=set(favourites),
            classes=painter.guide.sampler.classes if painter.guide.sampler.conditional else [],
            temperature=params.temperature,
            longest=painter.longest_prompt,
            **await pages.state(),
        )

    @router.get("/grid")
    async def part(
        request: Request,
        label: Annotated[str, Query(max_length=200)] = "",
        taste: Taste = "everyone",
        temperature: Annotated[float | None, Query(gt=0, le=HOTTEST, allow_inf_nan=False)] = None,
        count: Annotated[int, Query(ge=1, le=64)] = params.grid,
        prompt: Annotated[str, Query(max_length=MOST_TYPED)] = "",
    ) -> Response:
        visitor = pages.visitor(request)
        found = await grid(visitor, count, label, taste, temperature, prompt)
        return await pages.page(request, "_cards.html", pictures=found, favourites=set())

    @router.get("/grid/like")
    async def like(
        request: Request, version: Version, seed: Seed, label: Label = None, prompt: PromptText = None, turn: Seed = 0
    ) -> Response:
        check_prompt("-" if label is None else str(label), prompt)
        sample = Sample(version=version, seed=seed, label=label, prompt=prompt)
        visitor = pages.visitor(request)
        shown = await service.show(visitor, painter.like, sample, params.grid - 1, turn)
        found = [await present(visitor, sample), *shown.pictures]  # first the one that they look like
        return await pages.page(request, "_cards.html", pictures=found, favourites=set())

    @router.get("/knows")
    async def knows(request: Request, taste: Taste = "everyone") -> Response:
        return await pages.page(request, "_knows.html", **await pages.state(taste, access.visitor(request) or ""))

    @router.get("/strip")
    async def strip(request: Request) -> Response:
        loop = await service.run(pages.overview.loop, await service.run(service.counts))
        return await pages.page(request, "_strip.html", loop=loop)

    @router.get("/picture/{version}/{seed}/{label}")
    async def picture(
        request: Request,
        version: Annotated[int, FromPath(ge=1, lt=2**31)],
        seed: Annotated[int, FromPath(ge=0, lt=SEEDS)],
        label: Annotated[str, FromPath(pattern="^(-|[0-9]{1,5})$")],
        prompt: PromptText = None,
    ) -> Response:
        """A picture by its link; whoever opens it may vote on it, for then it was shown to them."""
        check_prompt(label, prompt)
        sample = Sample(version=version, seed=seed, label=None if label == "-" else int(label), prompt=prompt)
        visitor = access.welcome(request)
        shown = await present(visitor, sample)
        favourites = set(await service.ask(lambda store: store.favourites(visitor)))
        return await pages.page(request, "picture.html", pictures=[shown], favourites=favourites)

    @router.get("/compare")
    async def compare(request: Request) -> Response:
        if (guide := painter.guide) is None:
            return RedirectResponse("/", 303)
        versions = await service.run(painter.registry.numbers)
        first, second = painter.pair()
        return await pages.page(
            request,
            "compare.html",
            versions=versions,
            first=first,
            second=second,
            label="-" if not guide.sampler.conditional else "0",
            classes=guide.sampler.classes if guide.sampler.conditional else [],
        )

    @router.get("/compare/pair")
    async def pair(request: Request) -> Response:
        """Two pictures of one seed and class, by champion and challenger; which is which nobody can see."""
        visitor = pages.visitor(request)
        guide = await service.run(painter.ready)
        versions = list(painter.pair())
        CHANCE.shuffle(versions)
        seeds = [CHANCE.randrange(SEEDS)] * 2 if versions[0] != versions[1] else [CHANCE.randrange(SEEDS) for _ in range(2)]
        label = CHANCE.randrange(len(guide.sampler.classes)) if guide.sampler.conditional else None
        samples = [Sample(version=one, seed=seed, label=label) for one, seed in zip(versions, seeds, strict=True)]
        # Not by their addresses, which say of which version they are.
        pictures = [b64encode(await service.picture(sample.key)).decode() for sample in samples]
        shown = [
            {"sample": one, "url": f"data:image/png;base64,{picture}", "token": service.tokens.sign(visitor, one)}
            for one, picture in zip(samples, pictures, strict=True)
        ]
        return await pages.page(
            request, "_pair.html", shown=shown, class_name="" if label is None else guide.sampler.classes[label]
        )

    @router.get("/mine")
    async def mine(request: Request, forgotten: bool = False) -> Response:
        visitor = access.visitor(request) or ""
        votes = await service.ask(lambda store: pages.overview.votes(store, visitor, HISTORY))
        favourites = await service.ask(lambda store: store.favourites(visitor))
        versions = await service.ask(lambda store: pages.overview.versions(store, visitor))
        learned = [(line.number, line.own) for line in versions if line.own]
        return await pages.page(
            request,
            "mine.html",
            votes=[(vote, url_of(vote.sample)) for vote in votes],
            kept=[(sample, url_of(sample)) for sample in favourites[:HISTORY]],
            learned=learned,
            others=await service.ask(lambda store: pages.overview.others(store, visitor)),
            forgotten=forgotten,
        )

    @router.post("/favourites", status_code=204)
    async def favourite(request: Request) -> Response:
        visitor = pages.visitor(request)
        body = await bodies.read(request, FavouriteBody)
        if body.on and body.sample.prompt is not None:
            await service.require_shown(body.sample)
        change = EventStore.add_favourite if body.on else EventStore.remove_favourite
        await service.ask(lambda store: change(store, visitor, body.sample))
        return Response(status_code=204)

    @router.get("/give")
    async def give(request: Request) -> Response:
        guide = painter.guide
        classes = guide.sampler.classes if guide and guide.sampler.conditional else []
        return await pages.page(request, "give.html", classes=classes, ready=guide is not None, said=0, faults=[])

    @router.post("/give")
    async def given(request: Request) -> Response:
        visitor = pages.visitor(request)
        guide = painter.guide
        classes = guide.sampler.classes if guide and guide.sampler.conditional else []
        said, faults, status = 0, list[tuple[str, str]](), 200
        async with form_of(request) as form:
            label = str(form.get("label") or "")
            for upload in form.getlist("image"):
                if isinstance(upload, str):
                    continue
                record: dict[str, Any] = {"type": "upload", "image": b64encode(await upload.read()).decode()}
                if label:
                    record["label"] = await service.run(class_index, label, classes)
                try:
                    await service.take_one(record, Caller(visitor, OF_VISITORS, False))
                except Problem as problem:
                    faults.append((upload.filename or "", problem.detail.removeprefix("image: ")))
                    status = problem.status
                    continue
                said += 1
        if not said and not faults:
            faults, status = [("", "no file was chosen")], 422
        page = await pages.page(request, "give.html", classes=classes, ready=True, said=said, faults=faults)
        page.status_code = 200 if said else status
        return page

    @router.get("/progress")
    async def progress(request: Request) -> Response:
        visitor = access.visitor(request) or ""
        lines = await service.ask(lambda store: pages.overview.versions(store, visitor))
        charts = {
            name: chart.draw([(line.number, line.scores[name]) for line in lines if name in line.scores]) for name in SCORES
        }
        guide = painter.guide
        classes = len(guide.sampler.classes) if guide and guide.sampler.conditional else 0
        seeds = [(seed, seed % classes if classes else "-") for seed in range(SAME_SEEDS)]
        return await pages.page(
            request, "progress.html", lines=list(reversed(lines)), charts=charts, seeds=seeds, scores=SCORES
        )

    @router.get("/first-run")
    async def first_run(request: Request) -> Response:
        if painter.guide is not None:
            return Response(status_code=204, headers={"hx-refresh": "true"})
        return await pages.page(request, "_first_run.html", run=await service.run(pages.overview.first_run))

    @router.get("/first-run/preview.png")
    async def preview() -> Response:
        found = await service.run(pages.overview.preview)
        if found is None:
            raise Problem(404, "there is no preview yet")
        return FileResponse(found, media_type="image/png", headers={"cache-control": "no-store"})

    @router.post("/forget-me")
    async def forget_me(request: Request) -> Response:
        """Everything of the visitor is removed by the next fold; the browser gets another name at once."""
        visitor = pages.visitor(request)
        await service.take_one({"type": "erase"}, Caller(visitor, OF_VISITORS, False))
        response = RedirectResponse("/mine?forgotten=1", 303)
        access.remember(request, response, new_visitor())
        return response

    @router.get("/language/{code}")
    async def language(request: Request, code: Annotated[str, FromPath(pattern="^(en|zh)$")]) -> Response:
        back = urlsplit(request.headers.get("referer", "")).path or "/"
        response = RedirectResponse(back if back.startswith("/") and not back.startswith("//") else "/", 303)
        response.set_cookie(translations.COOKIE, code, max_age=365 * 24 * 3600, samesite="lax", httponly=True)
        return response

    @router.get("/widget")
    async def widget(request: Request, visitor: Annotated[str, Query(max_length=200)] = "") -> Response:
        """A picture with like and dislike, in a frame of somebody else's page, where there are no cookies of ours."""
        known = service.tokens.read_visitor(visitor) or new_visitor()
        shown = await grid(known, 1, None, "everyone", None)
        signed = service.tokens.sign_visitor(known)
        return await pages.page(request, "_widget.html", remember=False, picture=shown[0], visitor=signed)

    return router


@asynccontextmanager
async def form_of(request: Request) -> AsyncIterator[FormData]:
    """The form of a request. Raises Problem for one with too many parts, or that is none."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Problem(415, "expected a form of the type multipart/form-data")
    try:
        async with request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD) as form:
            yield form
    except HTTPException as error:
        raise Problem(
            413 if "many" in str(error.detail) or "exceeded" in str(error.detail) else 400, str(error.detail)
        ) from None
