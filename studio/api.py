"""The API, version 1: for a product's own backend, for the page and for the widget. /api/v1/openapi.json describes it."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as FromPath

from pipelines.core.numbers import LONGEST_PROMPT, SEEDS
from pipelines.feedback.events import prompt_fault
from studio import bodies
from studio.authentication import Access, Caller
from studio.bodies import (
    EventsOut,
    FramesOut,
    GenerateBody,
    InterpolateBody,
    ModelOut,
    ProblemOut,
    RaterBody,
    RejectedOut,
    SamplesOut,
    ShownOut,
    StatsOut,
    VariationsBody,
    WithdrawBody,
)
from studio.painter import require_walk
from studio.problems import MEDIA_TYPE, Problem
from studio.service import Shown, StudioService

CACHED = "public, max-age=3600"  # it never changes, but may be flagged
LABEL = re.compile(r"(-|0|[1-9][0-9]{0,4})")
PICTURE = "/samples/{version}/{seed}/{label}.png"
PICTURE_HEADERS = {"cache-control": CACHED, "cross-origin-resource-policy": "cross-origin"}

Version = Annotated[int, FromPath(ge=1, lt=2**31)]
Seed = Annotated[int, FromPath(ge=0, lt=SEEDS)]
PromptText = Annotated[str | None, Query(max_length=LONGEST_PROMPT)]
LabelText = Annotated[str, FromPath(pattern=rf"^{LABEL.pattern}$")]

EXAMPLE = {
    "id": "3f6c1e", "type": "vote", "rater": "alice",
    "sample": {"version": 3, "seed": 17, "label": 5}, "value": 1, "token": "WyJhbGljZSIs…",
}  # fmt: skip


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the description: which problems an operation may answer with."""
    content = {MEDIA_TYPE: {"schema": ProblemOut.model_json_schema()}}
    return {status: {"description": "What is wrong, in words.", "content": content} for status in (400, 429, *statuses)}


def body_of(model: type[bodies.Body], example: dict[str, Any]) -> dict[str, Any]:
    """For the description: the body, whose schema `description.describe` adds."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}}}


BODY = (408, 413, 415, 422)
KEYS: list[dict[str, list[str]]] = [{"key": []}, {"visitor": []}]
BODIES = (GenerateBody, VariationsBody, InterpolateBody, WithdrawBody, RaterBody)


def make(service: StudioService, access: Access) -> APIRouter:
    router = APIRouter(prefix="/api/v1")

    def visitor_of(caller: Caller, named: str | None) -> str:
        if named is not None and not caller.has_key and named != caller.name:
            raise Problem(403, "visitor: only the holder of a key may name one")
        return named or caller.name

    @router.post(
        "/generate",
        response_model=SamplesOut,
        response_model_exclude_unset=True,  # a prompt that there is not
        responses=problems(401, 403, 503, *BODY),
        openapi_extra={**body_of(GenerateBody, {"count": 4, "guided": True, "visitor": "alice"}), "security": KEYS},
    )
    async def generate(request: Request) -> SamplesOut:
        """Samples, each with a token by which its visitor may vote on it."""
        caller = access.require(request, "generate")
        body = await bodies.read(request, GenerateBody)
        visitor = visitor_of(caller, body.visitor)
        rater = visitor if body.guided and body.visitor else None
        shown = await service.show(
            visitor, service.painter.grid, body.count, body.label, rater, body.temperature, body.guided, body.seed, body.prompt
        )
        return samples_out(shown)

    @router.post(
        "/variations",
        response_model=SamplesOut,
        response_model_exclude_unset=True,
        responses=problems(401, 403, 404, 503, *BODY),
        openapi_extra={
            **body_of(VariationsBody, {"sample": {"version": 3, "seed": 17, "label": 5}, "count": 4}),
            "security": KEYS,
        },
    )
    async def variations(request: Request) -> SamplesOut:
        """Other samples that look like one; each has a seed of its own, so that people can vote on it."""
        caller = access.require(request, "generate")
        body = await bodies.read(request, VariationsBody)
        visitor = visitor_of(caller, body.visitor)
        return samples_out(await service.show(visitor, service.painter.like, body.sample, body.count, body.seed))

    @router.post(
        "/interpolate",
        response_model=FramesOut,
        responses=problems(401, 403, 404, 503, *BODY),
        openapi_extra={**body_of(InterpolateBody, {"first": 17, "last": 99, "label": 5, "steps": 8}), "security": KEYS},
    )
    async def interpolate(request: Request) -> FramesOut:
        """The addresses of pictures on the way from one seed's to another's, both included."""
        access.require(request, "generate")
        body = await bodies.read(request, InterpolateBody)
        version = body.version or (await service.run(service.painter.ready)).version
        sampler, _ = await service.run(service.painter.sampler, version)
        await service.run(require_walk, sampler)
        label = "-"
        if isinstance(body.label, str):
            from operations.generate import class_index

            label = str(await service.run(class_index, body.label, sampler.classes))
        elif body.label is not None or sampler.conditional:
            label = str(body.label or 0)
        ways = f"/api/v1/interpolations/{version}/{body.first}/{body.last}/{label}/{body.steps}"
        return FramesOut(version=version, frames=[f"{ways}/{step}.png" for step in range(body.steps)])

    @router.get(
        "/interpolations/{version}/{first}/{last}/{label}/{steps}/{step}.png",
        response_class=Response,
        responses={200: PNG, **problems(404, 422, 503)},
    )
    async def frame(
        version: Version,
        first: Seed,
        last: Seed,
        label: LabelText,
        steps: Annotated[int, FromPath(ge=2, le=bodies.MOST_STEPS)],
        step: Annotated[int, FromPath(ge=0, lt=bodies.MOST_STEPS)],
    ) -> Response:
        """A step of such a way."""
        if step >= steps:
            raise Problem(404, "there is no such step")
        picture = await service.run(service.painter.walk, version, first, last, number_of(label), steps, step)
        return Response(picture, media_type="image/png", headers={"cache-control": CACHED})

    @router.get(PICTURE, response_class=Response, responses={200: PNG, **problems(404, 422, 503)})
    async def sample(version: Version, seed: Seed, label: LabelText, prompt: PromptText = None) -> Response:
        """The picture of a sample, the same one whenever and wherever it is asked for. `-` stands for no label.

        With `-` a prompt may follow, of a sample that was shown to somebody: what was not has no address.
        """
        check_prompt(label, prompt)
        picture = await service.picture((version, seed, number_of(label), prompt or ""))
        return Response(picture, media_type="image/png", headers=PICTURE_HEADERS)

    @router.post(
        "/events",
        response_model=EventsOut,
        responses=problems(401, 403, 409, 503, *BODY),
        openapi_extra={
            "requestBody": {"required": True, "content": {"application/json": {"schema": {}, "example": EXAMPLE}}},
            "security": KEYS,
        },
    )
    async def events(request: Request) -> EventsOut:
        """Store one event, or many; one that was stored before changes nothing.

        `at` counts between when its sample was shown and now.
        """
        caller = access.require(request, "events")
        content = await bodies.read_json(request)
        if not isinstance(content, list):
            taken = await service.take_one(content, caller)
        elif len(content) > (most := bodies.MOST_EVENTS if caller.has_key else bodies.MOST_OF_VISITOR):
            raise Problem(422, f"expected at most {most:,} events")
        else:
            taken = await service.take(content, caller)
        rejected = [RejectedOut(index=place, reason=fault.reason) for place, fault in sorted(taken.rejected.items())]
        return EventsOut(stored=len(taken.stored), known=len(taken.known), rejected=rejected)

    @router.post(
        "/events/withdraw",
        status_code=204,
        response_class=Response,
        responses=problems(401, 403, 404, 503, *BODY),
        openapi_extra={**body_of(WithdrawBody, {"id": "3f6c1e"}), "security": KEYS},
    )
    async def withdraw(request: Request) -> Response:
        """Take back an event that no fold has taken yet: an undo."""
        caller = access.require(request, "events")
        body = await bodies.read(request, WithdrawBody)
        if not await service.withdraw(body.id, visitor_of(caller, body.visitor)):
            raise Problem(404, "there is no such event of theirs, or a fold has taken it; say the opposite instead")
        return Response(status_code=204)

    @router.get("/model", response_model=ModelOut, responses=problems(503))
    async def model() -> ModelOut:
        """The version that is shown."""
        guide = await service.run(service.painter.ready)
        about, spec = guide.description, guide.description["spec"]
        return ModelOut(
            version=guide.version,
            family=about["family"],
            classes=about["classes"],
            conditional=guide.sampler.conditional,
            size=spec["size"],
            channels=spec["channels"],
        )

    @router.get("/stats", response_model=StatsOut, response_model_exclude_none=True, responses=problems(503))
    async def stats() -> StatsOut:
        """How much has been said, and whether it is known by now what people like."""
        guide = await service.run(service.painter.ready)
        counts, learned, model = await service.run(service.counts), guide.live.learned, guide.live.model
        from pipelines.guidance.live_model import identity

        return StatsOut(
            version=guide.version,
            events=counts.new + counts.folded,
            judgements=len(guide.live.events),
            judgements_needed=learned.missing if model is None else 0,
            approval_auc=None if learned.fitted is None else learned.fitted.auc.value,
            approval_id=None if model is None else identity(model),
        )

    @router.post(
        "/admin/forget",
        response_model=EventsOut,
        responses=problems(401, 403, 503, *BODY),
        openapi_extra={**body_of(RaterBody, {"rater": "alice"}), "security": KEYS[:1]},
    )
    async def forget(request: Request) -> EventsOut:
        """Ask for a rater to be forgotten; the next fold does it."""
        caller = access.require(request, "admin")
        body = await bodies.read(request, RaterBody)
        taken = await service.take_one({"type": "erase", "rater": body.rater}, caller)
        return EventsOut(stored=len(taken.stored), known=len(taken.known), rejected=[])

    @router.post(
        "/admin/reload",
        status_code=204,
        response_class=Response,
        responses=problems(401, 403, 503),
        openapi_extra={"security": KEYS[:1]},
    )
    async def reload(request: Request) -> Response:
        """Look at once whether there is another champion, also one that did not load before."""
        access.require(request, "admin")
        service.painter.failed = None
        await service.run(service.painter.look)
        if service.painter.failure:
            raise Problem(503, service.painter.failure)
        return Response(status_code=204)

    return router


PNG = {"content": {"image/png": {"schema": {"type": "string", "format": "binary"}}}, "description": "The picture."}


def check_prompt(label: str, prompt: str | None) -> None:
    """Raises Problem for a prompt in an address that is none, or that comes with a label: there is no such sample."""
    if prompt is None:
        return
    if label != "-":
        raise Problem(404, "there is no such picture: a sample has either a label or a prompt")
    if fault := prompt_fault(prompt):
        raise Problem(404, f"there is no such picture: of its prompt, {fault}")


def number_of(label: str) -> int:
    return -1 if label == "-" else int(label)


def samples_out(shown: Shown) -> SamplesOut:
    samples = [
        ShownOut(
            version=one.sample.version,
            seed=one.sample.seed,
            label=one.sample.label,
            url=one.url,
            token=one.token,
            guided=one.guided,
            approval=None if one.approval is None or one.approval != one.approval else one.approval,
            **({} if one.sample.prompt is None else {"prompt": one.sample.prompt}),
        )
        for one in shown.pictures
    ]
    return SamplesOut(version=shown.version, samples=samples, guidance=shown.guidance or None)
