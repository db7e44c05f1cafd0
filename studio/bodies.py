"""Bodies of requests: JSON that is read within limits, and what each of them must look like."""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from pipelines.core.numbers import HOTTEST, SEEDS
from pipelines.feedback.events import Id, Prompt, Sample
from studio.problems import Problem

MOST_SAMPLES, MOST_STEPS, MOST_EVENTS = 64, 32, 1000
MOST_OF_VISITOR = 20  # events at once, which count as one request

Label = Annotated[str, StringConstraints(min_length=1, max_length=200)] | Annotated[int, Field(ge=0, le=99_999)]
Seed = Annotated[int, Field(ge=0, lt=SEEDS - MOST_SAMPLES)]
Count = Annotated[int, Field(ge=1, le=MOST_SAMPLES)]
Temperature = Annotated[float, Field(gt=0, le=HOTTEST)]


class Body(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class GenerateBody(Body):
    """`visitor`: whom the samples are shown to, as your own product names them; only with an API key.

    `prompt`: in place of a label, where the studio lets visitors write some (studio.prompts) and the version takes them.
    """

    count: Count
    label: Label | None = None
    prompt: Prompt | None = None
    seed: Seed | None = None
    guided: bool = False
    temperature: Temperature | None = None
    visitor: Id | None = None

    @model_validator(mode="after")
    def by_one_of_them(self) -> GenerateBody:
        if self.label is not None and self.prompt is not None:
            raise PydanticCustomError("both", "expected either a label or a prompt, came both")
        return self


class VariationsBody(Body):
    """Samples of the version that is shown which look like `sample`, of any version."""

    sample: Sample
    count: Count = 12
    seed: Seed = 0
    visitor: Id | None = None


class InterpolateBody(Body):
    """The way from one seed's picture to another's. `version`: without one, that which is shown."""

    first: Seed
    last: Seed
    label: Label | None = None
    steps: Annotated[int, Field(ge=2, le=MOST_STEPS)] = 8
    version: Annotated[int, Field(ge=1, lt=2**31)] | None = None


class RaterBody(Body):
    rater: Id


class WithdrawBody(Body):
    """An event that no fold has taken yet."""

    id: Id
    visitor: Id | None = None


class ShownOut(BaseModel):
    """`prompt` is missing where there is none."""

    version: int
    seed: int
    label: int | None
    url: str
    token: str
    guided: bool
    approval: float | None = None
    prompt: str | None = None


class SamplesOut(BaseModel):
    """guidance: how the samples were chosen, in words."""

    version: int
    samples: list[ShownOut]
    guidance: str | None = None


class FramesOut(BaseModel):
    version: int
    frames: list[str]


class RejectedOut(BaseModel):
    index: int
    reason: str


class EventsOut(BaseModel):
    """known: events that were stored before. rejected: by their place in what was sent."""

    stored: int
    known: int
    rejected: list[RejectedOut]


class ModelOut(BaseModel):
    version: int
    family: str
    classes: list[str]
    conditional: bool
    size: int
    channels: int


class StatsOut(BaseModel):
    """judgements_needed: about how many more, until pictures can be chosen by what people like; 0 where they are."""

    version: int
    events: int
    judgements: int
    judgements_needed: int
    approval_auc: float | None = None
    approval_id: str | None = None


class ProblemOut(BaseModel):
    type: str
    title: str
    status: int
    detail: str
    errors: list[dict[str, str]] | None = None


Model = TypeVar("Model", bound=Body)


async def read_json(request: Request) -> Any:
    """Raises Problem for what is no JSON, or nothing that anybody would send."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "expected a body of the type application/json")
    try:
        return json.loads(await request.body(), parse_constant=refuse_constant, parse_float=parse_number)
    except RecursionError:
        raise Problem(400, "the body is nested too deeply") from None
    except ValueError:  # also of an integer with thousands of digits
        raise Problem(400, "the body is not JSON") from None


def parse_number(text: str) -> float:
    """1.0 is an integer too, as JSON Schema has it."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def refuse_constant(name: str) -> None:
    raise Problem(422, f"{name}: expected a number")


async def read(request: Request, model: type[Model]) -> Model:
    return check(await read_json(request), model)


def check(content: Any, model: type[Model]) -> Model:
    """Raises Problem with the place and the reason of each fault, and not with what came."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        faults = [
            {"place": ".".join(str(part)[:60] for part in fault["loc"]) or "body", "reason": fault["msg"]}
            for fault in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        first = f"{faults[0]['place']}: {faults[0]['reason']}"
        raise Problem(422, first, faults[:20]) from None
