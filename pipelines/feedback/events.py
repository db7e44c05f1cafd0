"""Events: things that people did. Six types, each a strict, frozen model; one JSON form for all places."""

from __future__ import annotations

import reprlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from pipelines.core.numbers import LONGEST_PROMPT

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # a clock that was never set says 1970
AHEAD = timedelta(days=1)  # by which a client's clock may be fast
LABELS = 99_999  # as MOST_LABEL in pipelines/sources/base.py

SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = 60
short_repr = SHORT.repr

IMPORTED = "import-"  # how the id begins that an import gives an event without one


class RecordError(Exception):
    """Raised where a record is no event. `reason` is one of a few short phrases, which summaries count; `detail` says more."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


def utc_timestamp(value: Any) -> datetime:
    """A date with its time zone, as text or as a datetime -> the same instant in UTC."""
    example = 'expected a date with a time zone, as "2026-01-31T12:00:00Z"'
    if isinstance(value, str) and len(value) <= 40:
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise PydanticCustomError("moment", "{message}", {"message": example}) from None
    if not isinstance(value, datetime):
        raise PydanticCustomError("moment_type", "{message}", {"message": example})
    if value.tzinfo is None:
        raise PydanticCustomError("moment", "{message}", {"message": f"no time zone; {example}"})
    try:
        value = value.astimezone(UTC)
    except OverflowError:
        value = EARLIEST - AHEAD  # as good as any date outside of the years that Python knows
    if value < EARLIEST:
        raise PydanticCustomError("moment", "expected a date between 2000 and now")
    return value


def exact_int(value: Any) -> Any:
    """`true` is no 1, although Python says that they are equal; nor is 1.0."""
    if type(value) is not int:
        raise PydanticCustomError("int_type", "expected 1 or -1")
    return value


Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@+/-]*$")]
At = Annotated[datetime, BeforeValidator(utc_timestamp)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ClassIndex = Annotated[int, Field(ge=0, le=LABELS)]
# No control characters but tab and line breaks; PostgreSQL could not store a NUL.
Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$")]
# A line without control characters and line breaks, and with more than blanks in it.
Prompt = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_PROMPT,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*[^\s\x00-\x1f\x7f-\x9f\u2028\u2029][^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",
    ),
]
SampleKey = tuple[int, int, int, str]


class EventModel(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Sample(EventModel):
    """What a version generated, and can generate again.

    `label` is missing where the model knows no classes, and where the sample was asked for by a prompt of somebody's own.
    """

    version: Annotated[int, Field(ge=1, lt=2**31)]
    seed: Annotated[int, Field(ge=0, lt=2**31)]
    label: ClassIndex | None = None
    # Left out where there is none, so that samples without one are stored as they were before there were any.
    prompt: Prompt | None = Field(default=None, exclude_if=lambda prompt: prompt is None)

    @model_validator(mode="after")
    def by_one_of_them(self) -> Sample:
        if self.label is not None and self.prompt is not None:
            raise PydanticCustomError("both", "expected either a label or a prompt, came both")
        return self

    @property
    def key(self) -> SampleKey:
        """By which samples are sorted and stored: -1 stands for no label, and an empty text for no prompt."""
        return self.version, self.seed, -1 if self.label is None else self.label, self.prompt or ""

    @classmethod
    def of_key(cls, version: int, seed: int, label: int, prompt: str = "") -> Sample:
        """The sample with this key."""
        return cls(version=version, seed=seed, label=None if label < 0 else label, prompt=prompt or None)


class BaseEvent(EventModel):
    """The fields of every event. `id` is the sender's, so that an event that is sent twice counts once.

    Ids that begin with IMPORTED are given by imports of files alone; whatever takes events from raters must refuse them.
    """

    id: Id
    type: str
    rater: Id
    at: At


class Vote(BaseEvent):
    """`reason`: why the rater dislikes the sample, in a word or two; it is kept, and nothing is learned from it."""

    type: Literal["vote"]
    sample: Sample
    value: Annotated[Literal[1, -1], BeforeValidator(exact_int)]
    reason: Text | None = None


class Choice(BaseEvent):
    type: Literal["choice"]
    winner: Sample
    loser: Sample

    @model_validator(mode="after")
    def between_two(self) -> Choice:
        if self.winner == self.loser:
            raise PydanticCustomError("same", "winner and loser: expected two samples, came the same one twice")
        return self


class Upload(BaseEvent):
    """`image` is the sha256 of bytes that pipelines/feedback/sealed/uploads.py stores."""

    type: Literal["upload"]
    image: Sha256
    label: ClassIndex | None = None


class Label(BaseEvent):
    """Corrects the class of a row."""

    type: Literal["label"]
    row: Sha256
    label: ClassIndex


class Report(BaseEvent):
    """Flags a sample or a row: nothing like it must be shown again."""

    type: Literal["report"]
    sample: Sample | None = None
    row: Sha256 | None = None
    reason: Text = ""

    @model_validator(mode="after")
    def about_one_thing(self) -> Report:
        if (self.sample is None) == (self.row is None):
            raise PydanticCustomError("one", "expected either a sample or a row")
        return self


class Erase(BaseEvent):
    """The rater asks to be forgotten."""

    type: Literal["erase"]


Event = Vote | Choice | Upload | Label | Report | Erase
TYPES: dict[str, type[Event]] = {model.__name__.lower(): model for model in get_args(Event)}
PROMPT: TypeAdapter[str] = TypeAdapter(Prompt)
ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="type")])


def prompt_fault(text: str) -> str | None:
    """What is wrong with a prompt, without what came; None where it is one."""
    try:
        PROMPT.validate_python(text)
    except ValidationError:
        return f"expected a line of 1 to {LONGEST_PROMPT} characters, more than blanks, without control characters"
    return None


def samples_of(event: Event) -> list[Sample]:
    """The samples that an event is about."""
    if isinstance(event, Choice):
        return [event.winner, event.loser]
    return [event.sample] if isinstance(event, Vote | Report) and event.sample else []


def parse(record: Any, now: datetime | None = None) -> Event:
    """An event from outside; raises RecordError where `record` is none.

    now: of the clock that `at` must not be far ahead of; ours by default.
    """
    if not isinstance(record, dict):
        raise RecordError("not a record", f"expected a mapping with the keys of an event, came {short_repr(record)}")
    name = record.get("type")
    model = TYPES.get(name) if isinstance(name, str) else None
    if model is None:
        keys = "" if "type" in record else f"; the record has {short_repr([key for key in record if key != 'id'])}"
        raise RecordError("unknown type", f"type: expected one of {', '.join(TYPES)}; came {short_repr(name)}{keys}")
    try:
        event = model.model_validate(record)
    except ValidationError as error:
        lines = list(faults(error, model))
        raise RecordError(lines[0][0], "; ".join(detail for _, detail in lines[:3])) from None
    if event.at > (now or datetime.now(UTC)) + AHEAD:
        raise RecordError("wrong value", f"at: expected a date that is not in the future, came {event.at.isoformat()}")
    return event


def faults(error: ValidationError, model: type[Event]) -> Iterator[tuple[str, str]]:
    """(reason, detail) of each fault."""
    for fault in error.errors(include_url=False):
        where = ".".join(str(part) for part in fault["loc"])
        kind, came = fault["type"], short_repr(fault["input"])
        if kind == "extra_forbidden":
            known = (Sample if len(fault["loc"]) > 1 else model).model_fields
            yield "unknown key", f"{where}: no such key in {model.__name__.lower()}; known: {', '.join(known)}"
        elif kind == "missing":
            yield "missing key", f"{where}: this key is missing"
        else:
            reason = "wrong type" if kind.endswith("_type") else "wrong value"
            words = fault["msg"][:1].lower() + fault["msg"][1:]
            yield reason, f"{where}: {words} (came {came})" if where else words


def load(body: str) -> Event:
    """An event as `to_json` wrote it."""
    return ADAPTER.validate_json(body)


def to_json(event: Event) -> str:
    """The one JSON form of an event: two events are the same when these texts are."""
    return event.model_dump_json(exclude_none=True)
