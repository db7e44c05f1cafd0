"""What is tried: tune.space as Optuna knows it, and the settings that a choice from it makes."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import InputError
from pipelines.settings.faults import types_in
from pipelines.settings.load import check_params
from pipelines.settings.overlay import set_key
from pipelines.settings.schema import OF_A_PRESET, Between, Params, is_whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MOST = 128  # combinations that are looked at before the first trial: half a second


def check(settings: Params) -> None:
    """Whether the ends of every range, and every choice, are allowed, alone and with each other.

    Raises:
        InputError: one is not, or there is nothing to choose; the key is named.
    """
    if not settings.tune.space:
        raise InputError("tune.space is empty: name what to try, as in train.batch_size: [32, 64]; docs/tuning.md")
    if settings.train.init != "scratch":
        settings = laid(settings, {"train.init": "scratch"})
    for values in combinations(settings):
        laid(settings, values)


def combinations(settings: Params) -> Iterator[dict[str, Any]]:
    """All that the ends and choices make together; if they are too many, each of them once at least."""
    ends = {key: list(extremes(settings, key)) for key in settings.tune.space}
    if math.prod(map(len, ends.values())) <= MOST:
        for values in itertools.product(*ends.values()):
            yield dict(zip(ends, values, strict=True))
        return
    deal = random.Random(0)
    for number in range(max(MOST, *map(len, ends.values()))):
        yield {key: some[number] if number < len(some) else deal.choice(some) for key, some in ends.items()}


def extremes(settings: Params, key: str) -> Iterator[Any]:
    entry = settings.tune.space[key]
    if isinstance(entry, Between):
        kind = int if whole(settings, key) and all(type(end) is int for end in (entry.low, entry.high)) else float
        yield from (kind(entry.low), kind(entry.high))
    else:
        yield from entry


def whole(settings: Params, key: str) -> bool:
    """Whether the setting takes whole numbers alone."""
    if key.startswith(OF_A_PRESET):
        entry = settings.tune.space[key]
        usual = settings.model.numbers.get(key.removeprefix(OF_A_PRESET), entry.low)
        return type(usual) is int
    block, *parents, name = key.split(".")
    kind: Any = type(getattr(settings, block))
    for parent in parents:
        kind = kind.model_fields[parent].annotation
    kinds = set(types_in(kind.model_fields[name].annotation))
    return int in kinds and float not in kinds


def distributions(settings: Params) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for key, entry in settings.tune.space.items():
        if not isinstance(entry, Between):
            found[key] = CategoricalDistribution(entry)
        elif whole(settings, key):
            found[key] = IntDistribution(int(entry.low), int(entry.high), entry.log, int(entry.step or 1))
        else:
            found[key] = FloatDistribution(entry.low, entry.high, entry.log, entry.step)
    return found


def laid(settings: Params, values: dict[str, Any]) -> Params:
    """The settings with some of them set, by their dotted keys.

    Raises:
        InputError: what comes of it is not allowed.
    """
    document = settings.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        set_key(document, key, value)
    chosen = ", ".join(f"{key}={value}" for key, value in values.items())
    return check_params(document, f"tune.space, {chosen}")


def now(settings: Params) -> dict[str, Any]:
    """What the settings are without any tuning, as far as the space has it."""
    found = {}
    for key, entry in settings.tune.space.items():
        value = current(settings, key)
        if isinstance(entry, Between):
            inside = isinstance(value, int | float) and entry.low <= value <= entry.high
            if inside and (entry.step is None or is_whole((value - entry.low) / entry.step)):
                found[key] = value
        elif any(type(one) is type(value) and one == value for one in entry):
            found[key] = value
    return found


def current(settings: Params, key: str) -> Any:
    if key.startswith(OF_A_PRESET):
        return settings.model.numbers.get(key.removeprefix(OF_A_PRESET))
    node: Any = settings
    for part in key.split("."):
        node = getattr(node, part)
    return node


def overlay(values: dict[str, Any]) -> dict[str, Any]:
    """{"train.batch_size": 32} -> {"train": {"batch_size": 32}}"""
    found: dict[str, Any] = {}
    for key, value in values.items():
        set_key(found, key, value)
    return found
