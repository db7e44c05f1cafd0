"""manifest.yaml of an external model: what its folder says of how it is trained, asked for images, and what it takes.

A manifest has what a family's class has, too: `presets`, `sizes`, `augmentations`, `conditional`. So params treat both alike.
"""

from __future__ import annotations

import math
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from pipelines.core.errors import InputError
from pipelines.models.base import Sizes
from pipelines.settings.block import Block
from pipelines.settings.faults import contradiction, describe, fault
from pipelines.settings.yaml_files import parse_yaml, read_text

NAME = "manifest.yaml"
PYTHON_VARIABLE = "GENLOOP_EXTERNAL_PYTHON"  # an interpreter that counts instead of the manifest's
MOST = 10**9  # seconds or gigabytes of a limit: as good as none, and no sum with it is too large
LEAST_SIDE, MOST_SIDE = 4, 1024  # pixels, as image.size allows

Text = Annotated[str, Field(min_length=1)]


def as_float(value: Any) -> Any:
    """A whole number where a number may have a point: YAML has integers for them."""
    if type(value) is not int:
        return value
    if abs(value) > MOST:
        raise fault(f"expected a number above 0 and of at most {MOST:,}")
    return float(value)


Number = Annotated[float, BeforeValidator(as_float), Field(gt=0, le=MOST)]


class SideRange(Block):
    """Sides of images, in pixels, that the model takes."""

    least: Annotated[int, Field(ge=LEAST_SIDE, le=MOST_SIDE)] = LEAST_SIDE
    most: Annotated[int, Field(ge=LEAST_SIDE, le=MOST_SIDE)] = MOST_SIDE
    multiple_of: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def is_not_empty(self) -> SideRange:
        if not any(size in self.as_sizes() for size in range(self.least, self.most + 1)):
            raise fault("expected sizes of which there is one: least <= a multiple of multiple_of <= most")
        return self

    def as_sizes(self) -> Sizes:
        return Sizes(self.least, self.most, self.multiple_of)


class ModelOrigin(Block):
    """card: what a person wants to know of a model that is somebody else's. base: the pretrained model that it is made from."""

    base: Text | None = None
    licence: Text | None = None
    adapter: Text | None = None


class ProcessLimits(Block):
    """silence: seconds of a training without a report. start: seconds to load a sampler. draw: seconds of one call of it.

    memory_gb: of all processes of a training, and of a sampler. disk_gb: of all that a training writes.
    """

    silence: Number = 600.0
    start: Number = 300.0
    draw: Number = 300.0
    memory_gb: Number = 8.0
    disk_gb: Number = 10.0


def check_python(python: str | None) -> str | None:
    if python is not None and "\0" in python:
        raise fault("expected a path, which has no character of code 0")
    return python


def check_command(command: str | None) -> str | None:
    if command is not None:
        if "\0" in command:
            raise fault("expected a command, which has no character of code 0")
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise fault(f"expected a command as a shell reads it, or null where nobody trains here ({error})") from None
        if not words:
            raise fault("expected a command, as in `python train.py`, or null where nobody trains here")
    return command


def check_sampler(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name):
        raise fault("expected module:object, as in `sampler:Sampler` for the class Sampler of sampler.py")
    return name


def check_prompt(prompt: Any) -> Any:
    """A text with {name} in it for all classes, or a mapping class name -> text, with `default` for the others."""
    texts = prompt.items() if isinstance(prompt, dict) else ()
    if wrong := [pair for pair in texts if not all(isinstance(part, str) and part for part in pair)]:
        key, text = wrong[0]
        raise fault(f"expected texts as keys and values, came {key!r}: {text!r}; put what looks like a number into quotes")
    if not isinstance(prompt, str | dict | None):
        raise fault("expected a text with {name} in it, or a mapping of class names to texts")
    if isinstance(prompt, str) and "{name}" not in prompt:
        raise fault("expected {name} in it, which stands for the name of the class")
    return prompt


def check_presets(presets: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    for name, values in presets.items():
        for key, value in values.items():
            if not is_plain(value):
                raise fault(f"{name}.{key}: expected a number, a text, true or false, or a list of them, came {value!r}")
    return presets


def is_plain(value: Any) -> bool:
    """Whether a preset may hold it: what JSON has, and no mapping."""
    if isinstance(value, list):
        return all(is_plain(one) and not isinstance(one, list) for one in value)
    return isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value))


class ExternalManifest(Block):
    """train: the command of a training, None where nobody trains here. sampler: `module:object`, called in its own process.

    python: the interpreter of both; None for Genloop's own. presets: values for the training and the sampler, by the preset's
    name. data: how the training rows are given. deterministic: whether the same seed gives the same image.
    """

    augmentations: ClassVar[tuple[str, ...]] = ()  # of train.augment: a trainer changes its images itself

    train: Annotated[str | None, AfterValidator(check_command)]
    sampler: Annotated[str, AfterValidator(check_sampler)]
    python: Annotated[Text | None, AfterValidator(check_python)] = None
    requirements: list[Text] = []
    condition: Literal["classes", "prompts", "none"] = "classes"
    prompt: Annotated[Any, AfterValidator(check_prompt)] = None
    sizes_: Annotated[SideRange, Field(alias="sizes")] = SideRange()
    channels: Annotated[list[Literal[1, 3]], Field(min_length=1)] = [1, 3]
    presets: Annotated[dict[str, dict[str, Any]], Field(min_length=1), AfterValidator(check_presets)] = {"small": {}}
    data: Literal["parquet", "files"] = "parquet"
    deterministic: bool = True
    card: ModelOrigin = ModelOrigin()
    limits: ProcessLimits = ProcessLimits()

    @property
    def sizes(self) -> Sizes:
        return self.sizes_.as_sizes()

    @property
    def conditional(self) -> bool:
        """Whether it can be asked for a class, by its number or by its prompt."""
        return self.condition != "none"

    def as_json(self) -> dict[str, Any]:
        """As model.json keeps it."""
        return self.model_dump(mode="json", by_alias=True)

    @model_validator(mode="after")
    def prompt_is_for_prompts(self) -> ExternalManifest:
        if self.prompt is not None and self.condition != "prompts":
            raise contradiction(f"prompt: it is for `condition: prompts`, and condition is {self.condition}; leave it out")
        return self


def read(folder: Path) -> ExternalManifest:
    """The manifest of an external model's folder.

    Raises:
        InputError: there is none, or one with faults: each is named with its key, what came and what was expected.
    """
    file = folder / NAME
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected one with a {NAME}, which `genloop model new DIR` makes")
    if not file.is_file():
        raise InputError(f"{folder}: no {NAME} in it; `genloop model new DIR` makes a folder with one")
    content = parse_yaml(read_text(file), str(file))
    if not isinstance(content, dict):
        came = "an empty file" if content is None else type(content).__name__
        raise InputError(f"{file}: expected a mapping with the keys train and sampler, came {came}")
    try:
        return ExternalManifest.model_validate(content)
    except ValidationError as error:
        lines = [f"{file}: {path}: {text}" if path else f"{file}: {text}" for path, text in describe(error, ExternalManifest)]
        raise InputError("\n".join(lines)) from None


def interpreter(manifest: ExternalManifest, folder: Path, environment: Mapping[str, str]) -> str:
    """The path of the Python that trains and samples; the variable GENLOOP_EXTERNAL_PYTHON counts more than the manifest.

    A relative one is below `folder`. Links are not followed, because a virtual environment is known by the link to its Python.
    """
    if chosen := environment.get(PYTHON_VARIABLE):
        return os.path.abspath(os.path.expanduser(chosen))
    if manifest.python is None:
        return sys.executable
    return os.path.abspath(folder / os.path.expanduser(manifest.python))


def check_interpreter(python: str) -> None:
    """Raises InputError where there is no such program."""
    if not os.access(python, os.X_OK) or not os.path.isfile(python):
        raise InputError(
            f"{python}: no such Python; it is `python` of {NAME}, or {PYTHON_VARIABLE}: make that environment, or name another"
        )


def command(manifest: ExternalManifest, python: str, arguments: Sequence[str] = ()) -> list[str]:
    """The words of `train`, with the interpreter for a first word `python`."""
    assert manifest.train is not None
    first, *rest = shlex.split(manifest.train)
    return [python if re.fullmatch(r"python3?", first) else first, *rest, *arguments]


EXPECTED = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", list: "a list"}


def fits_preset(value: Any, usual: Any) -> bool:
    """Whether `value` may replace a preset's value, which is `usual`."""
    if type(usual) is float:
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return type(value) is type(usual) and is_plain(value)
