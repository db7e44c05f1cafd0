"""The schema of params.yaml: strict, frozen models; what is wrong in it is said before anything heavy is imported."""

from __future__ import annotations

import difflib
import math
import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipelines import catalogue
from pipelines.rules.base import Rule
from pipelines.settings.faults import fault, inside
from pipelines.sources.base import Source


class Block(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


def ordered(limits: list[Any]) -> list[Any]:
    low, high = limits
    if low is not None and high is not None and low > high:
        raise fault("range", "expected [least, most] with least <= most")
    return limits


def known(table: dict[str, str]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in table:
            raise fault("known", catalogue.unknown(name, table))
        return name

    return AfterValidator(check)


def member(table: dict[str, str], key: str) -> BeforeValidator:
    """A mapping that names a member of `table` under `key`, the rest being that member's own settings."""

    def build(entry: Any) -> Any:
        if isinstance(entry, BaseModel):
            return entry
        if not isinstance(entry, dict):
            message = f"expected a mapping with the key `{key}`, one of: {', '.join(sorted(table))}"
            raise fault("member", message)
        name = entry.get(key)
        if not isinstance(name, str) or name not in table:
            message = f"`{key}`: {catalogue.unknown(str(name), table)}"
            raise fault("member", message)
        model = catalogue.get(table, name)
        try:
            return model.model_validate(entry)
        except ValidationError as error:
            raise inside(error, model) from None

    return BeforeValidator(build)


Range = Annotated[list[float | None], Field(min_length=2, max_length=2), AfterValidator(ordered)]  # [least, most]
Counts = Annotated[list[int | None], Field(min_length=2, max_length=2), AfterValidator(ordered)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


class Image(Block):
    size: Annotated[int, Field(ge=4, le=1024)]
    channels: Literal[1, 3]
    background: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class Ingest(Block):
    max_bytes: Positive
    max_side: Positive
    max_pixels: Positive


class Expectations(Block):
    rows: Counts | None = None
    side: Range | None = None
    brightness: Range | None = None
    contrast: Range | None = None
    sharpness: Range | None = None
    modes: list[str] | None = None
    mostly: Share = 1.0
    min_labelled_share: Share | None = None
    max_duplicate_share: Share | None = None
    min_class_share: Share | None = None


class Validate(Block):
    hard: Expectations
    soft: Expectations


class Clean(Block):
    rules: list[Annotated[SerializeAsAny[Rule], member(catalogue.RULES, "rule")]]
    denoise: Literal["none", "median"]
    fit: Literal["crop", "pad"]
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
    holdout: Annotated[float, Field(gt=0, lt=1)]


class Reference(Block):
    extractor: Annotated[str, known(catalogue.FEATURES)]
    steps: Positive
    seed: Seed
    weights: Annotated[str, Field(min_length=1)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def file_is_named_where_one_is_read(self) -> Reference:
        given = [key for key in ("weights", "sha256") if getattr(self, key) is not None]
        from_file = catalogue.literal(catalogue.FEATURES, self.extractor, "FROM_FILE")
        if from_file and len(given) < 2:
            message = (
                f"reference: the extractor {self.extractor!r} is read from a file: set reference.weights to its path or URL "
                "and reference.sha256 to its checksum; docs/metrics.md has both"
            )
        elif given and not from_file:
            message = (
                f"reference.{given[0]}: the extractor {self.extractor!r} is read from no file; leave reference.weights and "
                "reference.sha256 empty, or choose another reference.extractor"
            )
        else:
            return self
        raise fault("contradiction", message)


class Model(Block):
    """change: laid over the numbers of the preset."""

    family: Annotated[str, known(catalogue.MODELS)]
    preset: str
    change: dict[str, Any] = {}

    @field_validator("preset")
    @classmethod
    def known_preset(cls, preset: str, info: ValidationInfo) -> str:
        family = info.data.get("family")
        if family is not None:
            presets = catalogue.literal(catalogue.MODELS, family, "PRESETS")
            if preset not in presets:
                message = f"{catalogue.unknown(preset, presets)} (presets of {family})"
                raise fault("known", message)
        return preset

    @field_validator("change")
    @classmethod
    def like_the_preset_s(cls, change: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        family, preset = info.data.get("family"), info.data.get("preset")
        if family is None or preset is None:
            return change
        numbers = catalogue.literal(catalogue.MODELS, family, "PRESETS")[preset]
        for key, came in change.items():
            if key not in numbers:
                message = f"model.change: {catalogue.unknown(str(key), numbers)} (of the preset {preset} of {family})"
            elif not alike(came, numbers[key]):
                message = f"model.change.{key}: expected {KINDS[type(numbers[key])]}, as {numbers[key]} is (came {came!r})"
            else:
                continue
            raise fault("contradiction", message)
        return change

    @property
    def numbers(self) -> dict[str, Any]:
        """What the family is built with."""
        return {**catalogue.literal(catalogue.MODELS, self.family, "PRESETS")[self.preset], **self.change}


KINDS = {int: "a whole number from 0 on", float: "a number from 0 on", list: "a list of whole numbers above 0"}


def alike(came: Any, usual: Any) -> bool:
    """Whether a preset's number may be `came` where it is `usual`."""
    if isinstance(usual, list):
        return isinstance(came, list) and len(came) > 0 and all(type(one) is int and one > 0 for one in came)
    kinds = (int,) if isinstance(usual, int) else (int, float)
    return type(came) in kinds and 0 <= came < math.inf


class Augment(Block):
    flip: bool = False
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    rotate: Annotated[float, Field(ge=0, le=45)] = 0.0
    cutout: Annotated[float, Field(ge=0, le=0.75)] = 0.0
    probability: Annotated[float, Field(gt=0, le=0.8)] = 0.5
    adaptive: bool = False

    @property
    def any(self) -> bool:
        return self.flip or self.shift > 0 or self.rotate > 0 or self.cutout > 0

    @model_validator(mode="after")
    def adapts_something(self) -> Augment:
        if self.adaptive and not self.any:
            message = "train.augment.adaptive: there is nothing to adapt; set flip, shift, rotate or cutout as well"
            raise fault("contradiction", message)
        return self


class Train(Block):
    init: Literal["scratch", "champion"] | Annotated[int, Field(ge=1)]
    steps: Positive
    batch_size: Annotated[int, Field(ge=2)]
    seed: Seed
    preview_every: Positive
    augment: Augment = Augment()
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    xla: Literal["auto"] | bool = "auto"
    devices: Literal["all"] | Positive = "all"
    deterministic: bool = False
    max_memory_share: Share = 0.25


class Evaluate(Block):
    samples: Annotated[int, Field(ge=2)]
    seed: Seed
    metrics: Annotated[list[Annotated[str, known(catalogue.METRICS)]], Field(min_length=1)]


class Registry(Block):
    model: Name
    experiment: Name


class Feedback(Block):
    min_events: Positive
    experts: list[Annotated[str, Field(min_length=1, max_length=128)]]
    min_liked: Annotated[float, Field(ge=0.5, lt=1)]
    max_generated_share: Annotated[float, Field(ge=0, lt=1)]
    max_generation: Annotated[int, Field(ge=1)]
    max_rater_share: Annotated[float, Field(gt=0, le=1)]
    min_effective_share: Annotated[float, Field(gt=0, le=1)]
    report_reach: Annotated[float, Field(ge=0)]


class PromotionRule(Block):
    """Judged on the 95 % interval of a score, or of its difference to the champion's; margin in the score's own units."""

    metric: Annotated[str, known(catalogue.SCORES)]
    kind: Literal["better", "not_worse", "at_most", "at_least"]
    margin: float = 0.0

    @model_validator(mode="after")
    def margin_fits(self) -> PromotionRule:
        if self.kind in ("better", "not_worse"):
            if self.margin < 0:
                raise fault("margin", "expected a margin of 0 or more")
            if not catalogue.SCORES[self.metric]:
                message = (
                    f"neither a lower nor a higher {self.metric} is better; it can be held at_most or at_least at a margin"
                )
                raise fault("direction", message)
        elif self.metric == "online_approval":
            message = "it is known as the difference of two versions alone; make it better or not_worse"
            raise fault("direction", message)
        return self


class Promotion(Block):
    rules: Annotated[list[PromotionRule], Field(min_length=1)]
    noise: Annotated[int, Field(ge=0)]
    max_samples: Annotated[int, Field(ge=2)]
    require_approval: bool

    @field_validator("noise")
    @classmethod
    def two_or_none(cls, noise: int) -> int:
        if noise == 1:
            raise fault("noise", "expected 2 trainings or more, or 0 for none: one tells nothing of their spread")
        return noise


class Versioning(Block):
    commit: bool
    push: bool


def crontab(line: str | None) -> str | None:
    if line is not None and not re.fullmatch(r"\S+( \S+){4}", line):
        raise fault("cron", 'expected five fields, as in "0 3 * * *" for every day at three, or null for never')
    return line


def zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise fault("zone", "expected a time zone such as UTC or Europe/Berlin") from None
    return name


Cron = Annotated[str | None, AfterValidator(crontab)]


class Schedule(Block):
    timezone: Annotated[str, AfterValidator(zone)]
    retrain: Cron
    feedback: Cron


class Flow(Block):
    retries: Annotated[int, Field(ge=0)]
    time_limit_minutes: Positive


# What a trial of `genloop tune` may set: it trains and scores, and makes no data anew.
TUNED = (
    "model.family",
    "model.preset",
    "train.batch_size",
    "train.precision",
    *(f"train.augment.{key}" for key in Augment.model_fields),
)
OF_A_PRESET = "model.change."


class Between(Block):
    """From `low` to `high`, both included; even steps on a logarithmic scale with `log`, none but whole steps with `step`."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    def fault(self) -> str | None:
        if self.low >= self.high:
            return "expected low < high"
        if self.log and self.low <= 0:
            return "expected a low above 0 on a logarithmic scale"
        if self.log and self.step is not None:
            return "expected log or step, not both"
        if self.step is not None and not (self.step > 0 and is_whole((self.high - self.low) / self.step)):
            return "expected a step that goes from low to high a whole number of times"
        return None


def is_whole(number: float) -> bool:
    return math.isclose(number, round(number), abs_tol=1e-9)


def searched(entry: Any) -> Between | list[Any]:
    """One line of tune.space."""
    if isinstance(entry, Between):
        return entry
    if isinstance(entry, dict):
        try:
            between = Between.model_validate(entry)
        except ValidationError as error:
            raise inside(error, Between) from None
        if between.fault():
            raise fault("space", between.fault())
        return between
    if not isinstance(entry, list) or not entry or not all(isinstance(one, str | int | float | bool | None) for one in entry):
        raise fault("space", "expected {low: …, high: …}, with log: true or step: …, or a list of choices")
    if len({repr(one) for one in entry}) < len(entry):
        raise fault("space", "expected choices that differ")
    return entry


class Tune(Block):
    metric: Annotated[str, known(catalogue.SCORES)] = "fid"
    trials: Positive = 20
    steps: Annotated[int, Field(ge=4)] = 300
    samples: Annotated[int, Field(ge=2)] = 1000
    folds: Annotated[int, Field(ge=1, le=20)] = 1
    seed: Seed = 0
    pruner: Literal["median", "halving", "none"] = "median"
    startup: Positive = 5
    space: dict[str, Annotated[Any, BeforeValidator(searched)]] = {}

    @field_validator("metric")
    @classmethod
    def has_a_better_side(cls, metric: str) -> str:
        able = [name for name, better in sorted(catalogue.SCORES.items()) if better and name != "online_approval"]
        if metric not in able:
            why = "people say it, no trial can" if metric == "online_approval" else "neither a lower nor a higher one is better"
            raise fault("direction", f"{why}; can be: {', '.join(able)}")
        return metric

    @field_validator("space")
    @classmethod
    def of_what_a_trial_sets(cls, space: dict[str, Any]) -> dict[str, Any]:
        for key in space:
            if key not in TUNED and not (key.startswith(OF_A_PRESET) and key.count(".") == 2):
                near = difflib.get_close_matches(key, TUNED, n=1)
                hint = f"did you mean `{near[0]}`? " if near else ""
                message = (
                    f"tune.space: {key!r} is nothing that a trial sets; {hint}Can be: {', '.join(TUNED)}, "
                    f"and {OF_A_PRESET}NAME for a number of the preset"
                )
                raise fault("contradiction", message)
        return space


class Params(Block):
    sources: Annotated[list[Annotated[SerializeAsAny[Source], member(catalogue.SOURCES, "type")]], Field(min_length=1)]
    image: Image
    ingest: Ingest
    validate_: Annotated[Validate, Field(alias="validate")]
    clean: Clean
    reference: Reference
    model: Model
    train: Train
    evaluate: Evaluate
    registry: Registry
    promotion: Promotion
    feedback: Feedback
    schedule: Schedule
    flow: Flow
    versioning: Versioning
    tune: Tune = Tune()

    @model_validator(mode="after")
    def fit_together(self) -> Params:
        size, family = self.image.size, self.model.family
        fits = catalogue.literal(catalogue.MODELS, family, "SIZE")
        if not (fits["least"] <= size <= fits["most"] and size % fits["multiple_of"] == 0):
            message = (
                f"image.size: {size} does not fit model.family {family!r}, which draws sizes from {fits['least']} to "
                f"{fits['most']} that are a multiple of {fits['multiple_of']}"
            )
            raise fault("contradiction", message)
        augment = self.train.augment
        way = "adaptive" if augment.adaptive else "fixed"
        if augment.any and way not in ways_to_augment(family):
            able = ", ".join(name for name in sorted(catalogue.MODELS) if way in ways_to_augment(name))
            message = (
                f"train.augment{'.adaptive' if augment.adaptive else ''}: {family} cannot use it; model.family can be: {able}"
            )
            raise fault("contradiction", message)
        return self


def ways_to_augment(family: str) -> list[str]:
    found: list[str] = catalogue.literal(catalogue.MODELS, family, "AUGMENT")
    return found
