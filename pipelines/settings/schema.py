"""The schema of params.yaml: strict, frozen models that are checked before anything heavy is imported."""

from __future__ import annotations

import difflib
import math
import os
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationInfo,
    field_validator,
    model_validator,
)

from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.core.numbers import HOTTEST, LONGEST_PROMPT
from pipelines.rules import copies
from pipelines.rules.base import Rule
from pipelines.settings import manifest
from pipelines.settings.block import Block
from pipelines.settings.faults import check_part, contradiction, fault
from pipelines.settings.manifest import ExternalManifest
from pipelines.sources.base import Source

if TYPE_CHECKING:
    from pipelines.core.form import Form


def check_order(limits: list[Any]) -> list[Any]:
    low, high = limits
    if low is not None and high is not None and low > high:
        raise fault("expected [least, most] with least <= most")
    return limits


def name_in(table: Collection[str] | Callable[[], Collection[str]]) -> AfterValidator:
    """A name of the table, or of what a function finds when there is a name to check."""

    def check(name: str) -> str:
        names = table() if callable(table) else table
        if name not in names:
            raise fault(catalogue.unknown_name(name, names), "choice")
        return name

    return AfterValidator(check)


# The bases of plug-ins that settings are made of: the table of their members, and the key that names one of them.
MEMBERS: dict[type[BaseModel], tuple[dict[str, str], str]] = {
    Source: (catalogue.SOURCES, "type"),
    Rule: (catalogue.RULES, "rule"),
}


def member_of(table: dict[str, str], key: str) -> BeforeValidator:
    """A mapping that names a member of `table` under `key`, the rest being that member's own settings."""

    def build(entry: Any) -> Any:
        if isinstance(entry, BaseModel):
            return entry
        if not isinstance(entry, dict):
            raise fault(f"expected a mapping with the key `{key}`, one of: {', '.join(sorted(table))}", "choice")
        name = entry.get(key)
        if not isinstance(name, str) or name not in table:
            raise fault(f"`{key}`: {catalogue.unknown_name(str(name), table)}", "choice")
        return check_part(catalogue.get(table, name), entry)

    return BeforeValidator(build)


Range = Annotated[list[float | None], Field(min_length=2, max_length=2), AfterValidator(check_order)]  # [least, most]
Counts = Annotated[list[int | None], Field(min_length=2, max_length=2), AfterValidator(check_order)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

EXTERNAL_FOLDER = "examples/external/numpy"  # always a path, because dvc.yaml names it, whatever the family


def check_colour(text: str) -> str:
    if not re.fullmatch("#[0-9a-fA-F]{6}", text):
        raise fault('expected a colour as #rrggbb in quotes, such as "#ffffff" for white')
    return text


class ImageParams(Block):
    size: Annotated[int, Field(ge=4, le=1024)]
    channels: Literal[1, 3]
    background: Annotated[str, AfterValidator(check_colour)]


class IngestParams(Block):
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


class ValidateParams(Block):
    hard: Expectations
    soft: Expectations


class CleanParams(Block):
    rules: list[Annotated[SerializeAsAny[Rule], member_of(*MEMBERS[Rule])]]
    denoise: Literal["none", "median"]
    fit: Literal["crop", "pad"]
    filter: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
    holdout: Annotated[float, Field(gt=0, lt=1)]
    conflicting_labels: copies.Resolution = "neither"


class ReferenceParams(Block):
    extractor: Annotated[str, name_in(catalogue.FEATURES)]
    steps: Positive
    seed: Seed
    weights: Annotated[str, Field(min_length=1)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def file_is_named_if_needed(self) -> ReferenceParams:
        present = [key for key in ("weights", "sha256") if getattr(self, key) is not None]
        extractor = catalogue.get(catalogue.FEATURES, self.extractor)
        if extractor.of_presets and self.weights is None:
            raise contradiction(
                f"reference: the extractor {self.extractor!r} is read from a preset: set reference.weights to its name, handle "
                "or folder, as in dinov2_small or ./folder; docs/metrics.md has more"
            )
        if extractor.from_file and not extractor.of_presets and len(present) < 2:
            raise contradiction(
                f"reference: the extractor {self.extractor!r} is read from a file: set reference.weights to its path or URL "
                "and reference.sha256 to its checksum; docs/metrics.md has both"
            )
        if present and not extractor.from_file:
            raise contradiction(
                f"reference.{present[0]}: the extractor {self.extractor!r} is read from no file; leave reference.weights and "
                "reference.sha256 empty, or choose another reference.extractor"
            )
        return self


class ModelParams(Block):
    """change: laid over the numbers of the preset. external: folder of the model where the family is `external`."""

    family: Annotated[str, name_in(catalogue.families)]
    external: Annotated[str, Field(min_length=1)] = EXTERNAL_FOLDER
    preset: str
    change: dict[str, Any] = {}

    # The folder's whole path, and what its manifest says; None where another family is trained.
    _folder: Path | None = PrivateAttr(None)
    _manifest: ExternalManifest | None = PrivateAttr(None)

    @model_validator(mode="after")
    def fits_kind(self, info: ValidationInfo) -> ModelParams:
        if self.family == catalogue.EXTERNAL:
            root = (info.context or {}).get("root") or Path()
            if self.external.startswith("~"):
                raise contradiction(f"model.external: {self.external}: DVC reads it as it is written; give the whole path")
            self._folder = Path(os.path.abspath(root / self.external))
            try:
                self._manifest = manifest.read(self._folder)
            except InputError as error:
                raise contradiction(f"model.external: {error}") from None
        presets = self.kind.presets
        if self.preset not in presets:
            raise contradiction(f"model.preset: {catalogue.unknown_name(self.preset, presets)} (presets of {self.title})")
        usual = presets[self.preset]
        for key, value in self.change.items():
            if key not in usual:
                words = catalogue.unknown_name(str(key), usual)
                raise contradiction(f"model.change: {words} (of the preset {self.preset} of {self.title})")
            if not self.fits_preset(value, usual[key]):
                raise contradiction(
                    f"model.change.{key}: expected {self.expected(usual[key])}, as {usual[key]} is (came {value!r})"
                )
        return self

    @property
    def kind(self) -> Any:
        """The family's class, or the manifest of an external model: `presets`, `sizes`, `augmentations`, `conditional`."""
        return self._manifest or catalogue.get(catalogue.MODELS, self.family)

    @property
    def manifest(self) -> ExternalManifest | None:
        """That of an external model; None of a family of ours."""
        return self._manifest

    @property
    def kind_is_ours(self) -> bool:
        """Whether Keras trains it in our own process."""
        return self._manifest is None

    @property
    def folder(self) -> Path:
        """The external model's folder, absolute."""
        assert self._folder is not None, self.family
        return self._folder

    @property
    def trains(self) -> bool:
        """Whether there is a training: of an external model there may be only a sampler."""
        return self._manifest is None or self._manifest.train is not None

    @property
    def title(self) -> str:
        """The family as messages name it."""
        return self.family if self._manifest is None else f"the external model {self.external}"

    @property
    def numbers(self) -> dict[str, Any]:
        """What the family is built with."""
        return {**self.kind.presets[self.preset], **self.change}

    def fits_preset(self, value: Any, usual: Any) -> bool:
        return (fits_preset if self._manifest is None else manifest.fits_preset)(value, usual)

    def expected(self, usual: Any) -> str:
        return (EXPECTED if self._manifest is None else manifest.EXPECTED)[type(usual)]


EXPECTED = {int: "a whole number from 0 on", float: "a number from 0 on", list: "a list of whole numbers above 0"}


def fits_preset(value: Any, usual: Any) -> bool:
    """Whether `value` may replace the number of a preset of ours, which is `usual`."""
    if isinstance(usual, list):
        return isinstance(value, list) and len(value) > 0 and all(type(one) is int and one > 0 for one in value)
    types = (int,) if isinstance(usual, int) else (int, float)
    return type(value) in types and 0 <= value < math.inf


class AugmentParams(Block):
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
    def has_something_to_adapt(self) -> AugmentParams:
        if self.adaptive and not self.any:
            raise contradiction("train.augment.adaptive: there is nothing to adapt; set flip, shift, rotate or cutout as well")
        return self


class TrainParams(Block):
    init: Literal["scratch", "champion"] | Annotated[int, Field(ge=1)]
    steps: Positive
    batch_size: Annotated[int, Field(ge=2)]
    seed: Seed
    preview_every: Positive
    augment: AugmentParams = AugmentParams()
    precision: Literal["auto", "float32", "mixed_bfloat16"] = "auto"
    xla: Literal["auto"] | bool = "auto"
    devices: Literal["all"] | Positive = "all"
    deterministic: bool = False
    max_memory_share: Share = 0.25


class EvaluateParams(Block):
    samples: Annotated[int, Field(ge=2)]
    seed: Seed
    metrics: Annotated[list[Annotated[str, name_in(catalogue.METRICS)]], Field(min_length=1)]


class RegistryParams(Block):
    model: Name
    experiment: Name


class FeedbackParams(Block):
    min_events: Positive
    steps: Positive | None = None
    experts: list[Annotated[str, Field(min_length=1, max_length=128)]]
    min_liked: Annotated[float, Field(ge=0.5, lt=1)]
    max_generated_share: Annotated[float, Field(ge=0, lt=1)]
    max_generation: Annotated[int, Field(ge=1)]
    max_rater_share: Annotated[float, Field(gt=0, le=1)]
    min_effective_share: Annotated[float, Field(gt=0, le=1)]
    report_reach: Annotated[float, Field(ge=0)]


class PromptsParams(Block):
    """Prompts that visitors write themselves. free: whether they may. longest: characters."""

    free: bool = False
    longest: Annotated[int, Field(ge=1, le=LONGEST_PROMPT)] = 200
    denied: list[Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")]] = Field(
        default_factory=list, max_length=10_000
    )


class StudioParams(Block):
    temperature: Annotated[float, Field(gt=0, le=HOTTEST)] = 0.1
    min_coverage: Share = 0.9
    max_tries: Positive = 32
    grid: Annotated[int, Field(ge=1, le=64)] = 12
    reasons: list[Annotated[str, Field(min_length=1, max_length=60)]] = Field(default_factory=list, max_length=9)
    token_hours: Positive = 24
    requests_per_minute: Positive = 600
    prompts: PromptsParams = PromptsParams()


class PromotionRule(Block):
    """Judged on the 95 % interval of a score, or of its difference to the champion's; margin in the score's own units.

    relative: instead of a margin, a share of the champion's own score.
    """

    metric: Annotated[str, name_in(catalogue.rule_scores)]
    kind: Literal["better", "not_worse", "at_most", "at_least"]
    margin: float = 0.0
    relative: Annotated[float, Field(gt=0)] | None = None

    @property
    def parts(self) -> list[PromotionRule]:
        """The rule itself, as an `AnyRule` has several."""
        return [self]

    @model_validator(mode="after")
    def margin_fits(self) -> PromotionRule:
        score = catalogue.rule_scores()[self.metric]
        if self.kind in ("better", "not_worse"):
            if self.margin < 0:
                raise fault("expected a margin of 0 or more")
            if not score.better:
                raise fault(
                    f"neither a lower nor a higher {self.metric} is better; it can be held at_most or at_least at a margin"
                )
        elif score.difference_only:
            raise fault("it is known as the difference of two versions alone; make it better or not_worse")
        return self

    @model_validator(mode="after")
    def relative_fits(self) -> PromotionRule:
        if self.relative is None:
            return self
        if self.kind != "not_worse":
            raise fault(f"`relative` is for not_worse alone; give {self.kind} a margin")
        if self.margin:
            raise fault("expected margin or relative, came both; relative is a share of the champion's own score")
        if catalogue.rule_scores()[self.metric].difference_only:
            raise fault(f"a version has no {self.metric} of its own that `relative` could be a share of; give it a margin")
        return self


class AnyRule(Block):
    """Rules of which one has to hold."""

    any: Annotated[list[PromotionRule], Field(min_length=1)]

    @property
    def parts(self) -> list[PromotionRule]:
        return self.any

    @field_validator("any", mode="before")
    @classmethod
    def is_not_nested(cls, parts: Any) -> Any:
        if isinstance(parts, list) and [part for part in parts if isinstance(part, dict) and "any" in part]:
            raise fault("an `any` within an `any`; list the rules of both in one")
        return parts


def build_rule(entry: Any) -> Any:
    """A rule, or the rules under `any`: each fault is said of the one that is meant."""
    if isinstance(entry, BaseModel):
        return entry
    return check_part(AnyRule if isinstance(entry, dict) and "any" in entry else PromotionRule, entry)


class PromotionParams(Block):
    rules: Annotated[list[Annotated[PromotionRule | AnyRule, BeforeValidator(build_rule)]], Field(min_length=1)]
    noise: Annotated[int, Field(ge=0)]
    max_samples: Annotated[int, Field(ge=2)]
    require_approval: bool

    @property
    def single_rules(self) -> list[PromotionRule]:
        """All rules, also those under an `any`."""
        return [part for rule in self.rules for part in rule.parts]

    @field_validator("noise")
    @classmethod
    def is_none_or_several(cls, noise: int) -> int:
        if noise == 1:
            raise fault("expected 2 trainings or more, or 0 for none: one tells nothing of their spread")
        return noise


class VersioningParams(Block):
    commit: bool
    push: bool


# The fields of a cron line: what each is, its least and its largest number, and what else Prefect takes there: any day, the
# last one, or one weekday of the month.
CRON = (
    ("minute", 0, 59, None),
    ("hour", 0, 23, None),
    ("day of the month", 1, 31, r"\?|l"),
    ("month", 1, 12, None),
    ("day of the week", 0, 7, r"\?|l[0-7]|([0-7]|sun|mon|tue|wed|thu|fri|sat)#[1-5]"),
)
CRON_NAMES = {
    name: str(number)
    for first, names in ((1, "jan feb mar apr may jun jul aug sep oct nov dec"), (0, "sun mon tue wed thu fri sat"))
    for number, name in enumerate(names.split(), first)
}


def check_cron(line: str | None) -> str | None:
    if line is None:
        return None
    if not re.fullmatch(r"\S+( \S+){4}", line):
        raise fault('expected five fields, as in "0 3 * * *" for every day at three, or null for never')
    for field, (name, least, most, others) in zip(line.split(" "), CRON, strict=True):
        for part in field.split(","):
            if others and re.fullmatch(others, part.casefold()):
                continue
            if (words := cron_fault(part.casefold(), least, most)) is not None:
                raise fault(f"the {name} {part!r}: {words}")
    return line


def cron_fault(part: str, least: int, most: int) -> str | None:
    """What is wrong with a part of a field: `*`, a number, a name, or a range of them, each with a step or none.

    A range may go over the end: 22-2 are the hours from 22 to 2.
    """
    found = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/(\d+))?", part)
    ends = [CRON_NAMES.get(end, end) for end in found.groups()[:2] if end is not None] if found else []
    if found is None or not all(end.isascii() and end.isdigit() for end in ends):
        return f"expected *, numbers from {least} to {most}, ranges as in {least}-{most}, or steps as in */5"
    if any(not least <= int(end) <= most for end in ends):
        return f"expected numbers from {least} to {most}"
    return "expected a step of 1 or more" if found.group(3) is not None and int(found.group(3)) == 0 else None


# Names that zoneinfo opens on some machines, but that say nothing of a place, or count leap seconds.
NO_PLACES = ("localtime", "posixrules", "Factory")
NO_PLACES_BELOW = ("posix/", "right/")


def check_timezone(name: str) -> str:
    expected = "expected a name of the time zone database, such as UTC or Europe/Berlin"
    if name in NO_PLACES or name.startswith(NO_PLACES_BELOW):
        raise fault(f"{expected}, because {name!r} means another time on another machine, or none")
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = {zone.casefold(): zone for zone in available_timezones()}
        near = difflib.get_close_matches(name.strip().casefold(), known, n=1)
        hint = f"; did you mean {known[near[0]]!r}?" if near else ""
        raise fault(f"{expected}{hint}") from None
    return name


Cron = Annotated[str | None, AfterValidator(check_cron)]


class ScheduleParams(Block):
    timezone: Annotated[str, AfterValidator(check_timezone)]
    retrain: Cron
    feedback: Cron


class FlowParams(Block):
    retries: Annotated[int, Field(ge=0)]
    time_limit_minutes: Positive


def check_webhook(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is no number
        sound = False
    if not sound:
        raise fault("expected an address like https://example.org/hooks/genloop, or null for none")
    if parts.username or parts.password:
        raise fault(
            "expected no password in it, because this file is in git; GENLOOP_WEBHOOK_URL in the environment may have one"
        )
    return url


class NotifyParams(Block):
    webhook: Annotated[str, AfterValidator(check_webhook)] | None = None
    events: list[Literal["failed", "verdict"]] = ["failed", "verdict"]


# What a trial of `genloop tune` may set: it trains and scores, and makes no data anew.
TUNABLE = (
    "model.family",
    "model.preset",
    "train.batch_size",
    "train.precision",
    *(f"train.augment.{key}" for key in AugmentParams.model_fields),
)
PRESET_PREFIX = "model.change."


class NumberRange(Block):
    """From `low` to `high`, both included; even steps on a logarithmic scale with `log`, none but whole steps with `step`."""

    low: int | float
    high: int | float
    log: bool = False
    step: int | float | None = None

    @model_validator(mode="after")
    def is_sound(self) -> NumberRange:
        if self.low >= self.high:
            raise fault("expected low < high")
        if self.log and self.low <= 0:
            raise fault("expected a low above 0 on a logarithmic scale")
        if self.log and self.step is not None:
            raise fault("expected log or step, not both")
        if self.step is not None and not (self.step > 0 and is_whole((self.high - self.low) / self.step)):
            raise fault("expected a step that goes from low to high a whole number of times")
        return self


def is_whole(number: float) -> bool:
    return math.isclose(number, round(number), abs_tol=1e-9)


def check_space_entry(entry: Any) -> NumberRange | list[Any]:
    """One line of tune.space."""
    if isinstance(entry, NumberRange):
        return entry
    if isinstance(entry, dict):
        return check_part(NumberRange, entry)
    if not isinstance(entry, list) or not entry or not all(isinstance(one, str | int | float | bool | None) for one in entry):
        raise fault("expected {low: …, high: …}, with log: true or step: …, or a list of choices")
    if len({repr(one) for one in entry}) < len(entry):
        raise fault("expected choices that differ")
    return entry


class TuneParams(Block):
    metric: Annotated[str, name_in(catalogue.rule_scores)] = "fid"
    trials: Positive = 20
    steps: Annotated[int, Field(ge=4)] = 300
    samples: Annotated[int, Field(ge=2)] = 1000
    folds: Annotated[int, Field(ge=1, le=20)] = 1
    seed: Seed = 0
    pruner: Literal["median", "halving", "none"] = "median"
    startup: Positive = 5
    space: dict[str, Annotated[Any, BeforeValidator(check_space_entry)]] = {}

    @field_validator("metric")
    @classmethod
    def has_direction(cls, metric: str) -> str:
        allowed = sorted(name for name, score in catalogue.scores().items() if score.better and not score.by_class)
        if metric not in allowed:
            by_votes = metric in catalogue.VOTE_SCORES
            why = "people's votes give it, so no trial can" if by_votes else "neither a lower nor a higher one is better"
            raise fault(f"{why}; can be: {', '.join(allowed)}")
        return metric

    @field_validator("space")
    @classmethod
    def keys_are_tunable(cls, space: dict[str, Any]) -> dict[str, Any]:
        for key in space:
            if key not in TUNABLE and not (key.startswith(PRESET_PREFIX) and key.count(".") == 2):
                near = difflib.get_close_matches(key, TUNABLE, n=1)
                hint = f"did you mean `{near[0]}`? " if near else ""
                raise contradiction(
                    f"tune.space: {key!r} is no setting that a trial can change; {hint}Can be: {', '.join(TUNABLE)}, "
                    f"and {PRESET_PREFIX}NAME for a number of the preset"
                )
        return space


class Params(Block):
    sources: Annotated[list[Annotated[SerializeAsAny[Source], member_of(*MEMBERS[Source])]], Field(min_length=1)]
    image: ImageParams
    ingest: IngestParams
    validate_: Annotated[ValidateParams, Field(alias="validate")]
    clean: CleanParams
    reference: ReferenceParams
    model: ModelParams
    train: TrainParams
    evaluate: EvaluateParams
    registry: RegistryParams
    promotion: PromotionParams
    feedback: FeedbackParams
    schedule: ScheduleParams
    flow: FlowParams
    versioning: VersioningParams
    notify: NotifyParams = NotifyParams()
    tune: TuneParams = TuneParams()
    studio: StudioParams = StudioParams()

    @property
    def form(self) -> Form:
        """What all rows of data/clean have, and all that are added to them."""
        from pipelines.core.form import Form

        return Form(**self.image.model_dump(), **self.clean.model_dump(include={"fit", "filter", "denoise"}))

    @model_validator(mode="after")
    def fit_together(self) -> Params:
        size, model = self.image.size, self.model
        if size not in (sizes := model.kind.sizes):
            raise contradiction(
                f"image.size: {size} does not fit model.family {model.family!r}, which generates sizes from {sizes.least} to "
                f"{sizes.most} that are a multiple of {sizes.multiple_of}"
            )
        if model.manifest is not None and self.image.channels not in model.manifest.channels:
            raise contradiction(
                f"image.channels: {self.image.channels} does not fit {model.title}, whose manifest has channels: "
                f"{model.manifest.channels}"
            )
        augment = self.train.augment
        mode = "adaptive" if augment.adaptive else "fixed"
        if augment.any and mode not in model.kind.augmentations:
            families = {name: catalogue.get(catalogue.MODELS, name) for name in sorted(catalogue.MODELS)}
            allowed = ", ".join(name for name, other in families.items() if mode in other.augmentations)
            key = "train.augment.adaptive" if augment.adaptive else "train.augment"
            raise contradiction(f"{key}: {model.family} cannot use it; model.family can be: {allowed}")
        return self
