"""A registered version as MLflow loads it, on any machine: the version's own code and weights, and nothing of Genloop.

MLflow stores this file with the version ("models from code") and runs it to load the version: nothing is unpickled. The
version's folder holds model.json, the weights and `code`, the package `pipelines/models` as it was. A version that somebody
else's code samples (pipelines/models/external.py) needs neither Keras nor safetensors here.
"""

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

ANSWER = 2**26  # bytes of the images in one answer; JSON takes four times as many, and memory ten times
SEEDS = 2**31  # all seeds are below
LONGEST_PROMPT = 500  # characters; as of the prompts that people vote on (pipelines/core/numbers.py)


class Registered(PythonModel):
    """Generates: a table with a row for each group of images. All columns may be left out, and `params` then says the same.

    count: how many images (1). seed: of the first image, each next one has the next seed (0).
    label: a class, by index or name; where it is missing the classes take turns.
    prompt: what somebody writes, in place of a class. Only of a version that accepts prompts.

    What cannot be generated is an MlflowException of INVALID_PARAMETER_VALUE, which servers answer with status 400. Nothing has
    been generated then.
    """

    folder: Path

    def load_context(self, context: Any) -> None:
        self.folder = Path(context.artifacts["model"])
        self.generator = package(self.folder / "code").open_generator(self.folder)
        self.conditional: bool = self.generator.conditional
        self.classes: list[str] = self.generator.classes
        self.accepts_prompts: bool = self.generator.accepts_prompts
        self.deterministic: bool = self.generator.deterministic
        self.failures: tuple[type[Exception], ...] = self.generator.failures  # of `draw` and `walk`, with messages for people
        self.most = max(1, ANSWER // int(np.prod(self.generator.spec.shape)))  # images in one answer

    @property
    def walks(self) -> bool:
        """Whether it can `walk` and `interpolate`."""
        return bool(self.generator.walks)

    def close(self) -> None:
        """End the process that generates, where there is one; the next call starts another one."""
        self.generator.close()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> np.ndarray:
        """Images (n, size, size, channels) uint8, 0..255, row after row of the table."""
        seeds, labels, prompts = self.read_table(model_input, params or {})
        asked = np.array([prompt is not None for prompt in prompts])
        if not asked.any():
            return self.draw(seeds, labels if self.conditional else None)
        images = np.empty((len(seeds), *self.generator.spec.shape), np.uint8)
        images[asked] = self.draw_prompts(seeds[asked], [prompt for prompt in prompts if prompt is not None])
        if not asked.all():
            images[~asked] = self.draw(seeds[~asked], labels[~asked] if self.conditional else None)
        return images

    def read_table(self, table: pd.DataFrame, params: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, list[str | None]]:
        """Seeds (n,) int64, labels (n,) int32 and n prompts, None where there is none, of all images that are asked for.

        MLflow has dropped unknown columns.
        """
        if not isinstance(table, pd.DataFrame) or not len(table):
            columns = "count, seed, label and prompt" if self.accepts_prompts else "count, seed and label"
            raise invalid(f"came no row with one of the columns {columns}, expected at least one")
        if len(table) > self.most:
            raise self.too_many(len(table))
        seeds, labels, total = [], [], 0
        prompts: list[str | None] = []
        for number, row in enumerate(table.to_dict("records")):
            place = f"row {number}: "
            count = self.count(choose(row, params, "count", 1, place), f"{place}count")
            total += count
            if total > self.most:
                raise self.too_many(total)
            first = seed_number(choose(row, params, "seed", 0, place), count, f"{place}seed")
            label = self.label(choose(row, params, "label", None, place), f"{place}label")
            prompt = self.prompt(choose(row, params, "prompt", None, place), f"{place}prompt")
            if label is not None and prompt is not None:
                raise invalid(f"{place}came the prompt {show(prompt)} and the label {show(self.classes[label])}; expected one")
            turns = np.arange(count) % max(1, len(self.classes))
            seeds.append(first + np.arange(count))
            labels.append(turns if label is None else np.full(count, label))
            prompts += [prompt] * count
        return np.concatenate(seeds), np.concatenate(labels).astype(np.int32), prompts

    def count(self, value: Any, place: str, least: int = 1) -> int:
        """A number of images."""
        return whole(value, least, self.most, place)

    def label(self, value: Any, place: str = "label") -> int | None:
        """The index of a class that came as an index or a name; None where it is missing."""
        if is_missing(value):
            return None
        if not self.conditional:
            raise invalid(f"{place}: came {show(value)}, but this model has no classes; leave it out")
        if isinstance(value, str):
            if value in self.classes:
                return self.classes.index(value)
            more = ", …" if len(self.classes) > 20 else ""
            raise invalid(f"{place}: came {show(value)}, expected one of {', '.join(self.classes[:20])}{more}, or an index")
        return whole(value, 0, len(self.classes) - 1, place)

    def prompt(self, value: Any, place: str) -> str | None:
        """What somebody wrote; None where it is missing."""
        if is_missing(value):
            return None
        if not self.accepts_prompts:
            raise invalid(f"{place}: came {show(value)}, but this model takes no prompts; leave it out")
        if not (isinstance(value, str) and value.strip() and len(value) <= LONGEST_PROMPT):
            raise invalid(f"{place}: came {show(value)}, expected a text of 1 to {LONGEST_PROMPT:,} characters")
        return value

    def too_many(self, count: int) -> MlflowException:
        return invalid(
            f"came {count:,} images or more, expected at most {self.most:,} in one request; ask for parts, seed by seed"
        )

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """One image for each seed, uint8; an image depends on its seed and its label only."""
        images: np.ndarray = self.generator.draw(seeds, labels)
        return images

    def draw_prompts(self, seeds: np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """One image for each seed and its prompt, uint8; ValueError where the version accepts no prompts."""
        images: np.ndarray = self.generator.draw_prompts(seeds, prompts)
        return images

    def walk(self, seeds: np.ndarray, others: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images at the shares `at` of the way from each seed to the other one, uint8."""
        images: np.ndarray = self.generator.walk(seeds, others, at, labels)
        return images

    def interpolate(self, seed_a: int, seed_b: int, steps: int, label: int | None = None) -> np.ndarray:
        """The way from the image of one seed to that of another, both included, uint8."""
        ends = seed_number(seed_a, 1, "seed_a"), seed_number(seed_b, 1, "seed_b")
        self.require_walk()
        images: np.ndarray = self.generator.interpolate(*ends, self.count(steps, "steps", least=2), self.label(label))
        return images

    def variations(self, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
        """Images near that of a seed, uint8; strength 0 is the image itself, 1 has nothing to do with it."""
        known = seed_number(seed, 1, "seed")
        many, index = self.count(count, "count"), self.label(label)
        try:
            images: np.ndarray = self.generator.variations(known, strength, many, index)
        except ValueError as error:
            raise invalid(str(error)) from None
        return images

    def require_walk(self) -> None:
        if not self.walks:
            raise invalid("this version has no images between two others: its sampler has no `walk`")


def choose(row: Mapping[str, Any], params: Mapping[str, Any], name: str, default: Any, place: str) -> Any:
    """What a row says, or for a column that is not there, or a missing label or prompt, what `params` says.

    A seed or a count that is missing in a column is an error upstream, and the same seed for all such rows would hide it.
    """
    value, general = row.get(name), params.get(name, default)
    if name not in row or (name in ("label", "prompt") and is_missing(value)):
        return general
    if general != default and not is_missing(value) and general != value:
        raise invalid(f"{place}{name}: came {show(value)} in the table and {show(general)} in params; expected one of them")
    return value


def seed_number(value: Any, count: int, place: str) -> int:
    """The first of `count` seeds."""
    return whole(value, 0, SEEDS - count, place)


def whole(value: Any, least: int, most: int, place: str) -> int:
    """A whole number; a float such as 3.0 is one, because pandas makes floats of a column with missing values."""
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not (is_number and least <= value <= most and value == int(value)):  # NaN is not within any limits
        raise invalid(f"{place}: came {show(value)}, expected a whole number from {least} to {most:,}")
    return int(value)


def is_missing(value: Any) -> bool:
    return value is None or (pd.api.types.is_scalar(value) and bool(pd.isna(value)))


def show(value: Any) -> str:
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def invalid(message: str) -> MlflowException:
    error: MlflowException = MlflowException.invalid_parameter_value(message)
    return error


def package(code: Path) -> ModuleType:
    """The module `generator` of the package in `code`, under a name of its content, so that versions do not share code."""
    digest = hashlib.sha256()
    for path in sorted(code.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    name = f"genloop_models_{digest.hexdigest()[:16]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, code / "__init__.py", submodule_search_locations=[str(code)])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return importlib.import_module(f"{name}.generator")


set_model(Registered())
