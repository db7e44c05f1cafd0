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


def check(params: Params) -> None:
    """Whether the ends of every range, and every choice, are allowed, alone and with each other.

    Raises:
        InputError: one is not, or there is nothing to choose; the key is named.
    """
    if not params.tune.space:
        raise InputError("tune.space is empty: name what to try, as in train.batch_size: [32, 64]; docs/tuning.md")
    if params.train.init != "scratch":
        params = laid(params, {"train.init": "scratch"})
    for values in combinations(params):
        laid(params, values)


def combinations(params: Params) -> Iterator[dict[str, Any]]:
    """All that the ends and choices make together; if they are too many, each of them once at least."""
    ends = {key: list(extremes(params, key)) for key in params.tune.space}
    if math.prod(map(len, ends.values())) <= MOST:
        for values in itertools.product(*ends.values()):
            yield dict(zip(ends, values, strict=True))
        return
    deal = random.Random(0)
    for number in range(max(MOST, *map(len, ends.values()))):
        yield {key: some[number] if number < len(some) else deal.choice(some) for key, some in ends.items()}


def extremes(params: Params, key: str) -> Iterator[Any]:
    entry = params.tune.space[key]
    if isinstance(entry, Between):
        kind = int if whole(params, key) and all(type(end) is int for end in (entry.low, entry.high)) else float
        yield from (kind(entry.low), kind(entry.high))
    else:
        yield from entry


def whole(params: Params, key: str) -> bool:
    """Whether the setting takes whole numbers alone."""
    if key.startswith(OF_A_PRESET):
        entry = params.tune.space[key]
        usual = params.model.numbers.get(key.removeprefix(OF_A_PRESET), entry.low)
        return type(usual) is int
    block, *parents, name = key.split(".")
    kind: Any = type(getattr(params, block))
    for parent in parents:
        kind = kind.model_fields[parent].annotation
    kinds = set(types_in(kind.model_fields[name].annotation))
    return int in kinds and float not in kinds


def distributions(params: Params) -> dict[str, BaseDistribution]:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    found: dict[str, BaseDistribution] = {}
    for key, entry in params.tune.space.items():
        if not isinstance(entry, Between):
            found[key] = CategoricalDistribution(entry)
        elif whole(params, key):
            found[key] = IntDistribution(int(entry.low), int(entry.high), entry.log, int(entry.step or 1))
        else:
            found[key] = FloatDistribution(entry.low, entry.high, entry.log, entry.step)
    return found


def laid(params: Params, values: dict[str, Any]) -> Params:
    """The settings with some of them set, by their dotted keys.

    Raises:
        InputError: what comes of it is not allowed.
    """
    document = params.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        set_key(document, key, value)
    chosen = ", ".join(f"{key}={value}" for key, value in values.items())
    return check_params(document, f"tune.space, {chosen}")


def now(params: Params) -> dict[str, Any]:
    """What the settings are without any tuning, as far as the space has it."""
    found = {}
    for key, entry in params.tune.space.items():
        value = current(params, key)
        if isinstance(entry, Between):
            inside = isinstance(value, int | float) and entry.low <= value <= entry.high
            if inside and (entry.step is None or is_whole((value - entry.low) / entry.step)):
                found[key] = value
        elif any(type(one) is type(value) and one == value for one in entry):
            found[key] = value
    return found


def current(params: Params, key: str) -> Any:
    if key.startswith(OF_A_PRESET):
        return params.model.numbers.get(key.removeprefix(OF_A_PRESET))
    node: Any = params
    for part in key.split("."):
        node = getattr(node, part)
    return node


def overlay(values: dict[str, Any]) -> dict[str, Any]:
    """{"train.batch_size": 32} -> {"train": {"batch_size": 32}}"""
    found: dict[str, Any] = {}
    for key, value in values.items():
        set_key(found, key, value)
    return found
