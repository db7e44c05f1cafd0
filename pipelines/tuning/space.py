"""The search space: tune.space as distributions of Optuna, and the params that a choice of values makes."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import InputError
from pipelines.settings.faults import types_in
from pipelines.settings.load import check_params, set_key
from pipelines.settings.schema import PRESET_PREFIX, NumberRange, Params, is_whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

MOST = 128  # combinations that are checked before the first trial: half a second


def check(params: Params) -> None:
    """Check the ends of every range, and every choice, alone and with each other.

    Raises:
        InputError: one is not allowed, or there is nothing to choose; the key is named.
    """
    if not params.model.kind_is_ours:
        raise external_fault(params)
    if not params.tune.space:
        raise InputError("tune.space is empty: name what to try, as in train.batch_size: [32, 64]; docs/tuning.md")
    if params.train.init != "scratch":
        params = with_values(params, {"train.init": "scratch"})
    for values in combinations(params):
        if not (chosen := with_values(params, values)).model.kind_is_ours:
            raise external_fault(chosen)


def external_fault(params: Params) -> InputError:
    return InputError(
        f"genloop tune trains families of Genloop in its own process, and {params.model.title} is trained by its own command; "
        "set model.family to one of ours, or try presets of yours by `genloop run --set model.preset=NAME`"
    )


def combinations(params: Params) -> Iterator[dict[str, Any]]:
    """All combinations of ends and choices; where they are too many, some of them, with each end and choice once at least."""
    ends = {key: list(extremes(params, key)) for key in params.tune.space}
    if math.prod(map(len, ends.values())) <= MOST:
        for values in itertools.product(*ends.values()):
            yield dict(zip(ends, values, strict=True))
        return
    generator = random.Random(0)
    for number in range(max(MOST, *map(len, ends.values()))):
        yield {key: few[number] if number < len(few) else generator.choice(few) for key, few in ends.items()}


def extremes(params: Params, key: str) -> Iterator[Any]:
    entry = params.tune.space[key]
    if isinstance(entry, NumberRange):
        kind = int if takes_integers(params, key) and all(type(end) is int for end in (entry.low, entry.high)) else float
        yield from (kind(entry.low), kind(entry.high))
    else:
        yield from entry


def takes_integers(params: Params, key: str) -> bool:
    """Whether the setting takes whole numbers only."""
    if key.startswith(PRESET_PREFIX):
        entry = params.tune.space[key]
        usual = params.model.numbers.get(key.removeprefix(PRESET_PREFIX), entry.low)
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
        if not isinstance(entry, NumberRange):
            found[key] = CategoricalDistribution(entry)
        elif takes_integers(params, key):
            found[key] = IntDistribution(int(entry.low), int(entry.high), entry.log, int(entry.step or 1))
        else:
            found[key] = FloatDistribution(entry.low, entry.high, entry.log, entry.step)
    return found


def with_values(params: Params, values: dict[str, Any]) -> Params:
    """The params with some values set, by their dotted keys.

    Raises:
        InputError: the result is not allowed.
    """
    document = params.model_dump(mode="json", by_alias=True)
    for key, value in values.items():
        set_key(document, key, value)
    chosen = ", ".join(f"{key}={value}" for key, value in values.items())
    return check_params(document, f"tune.space, {chosen}")


def current_values(params: Params) -> dict[str, Any]:
    """The values of params.yaml for the keys of the space, as far as they are in it."""
    found = {}
    for key, entry in params.tune.space.items():
        value = current_value(params, key)
        if isinstance(entry, NumberRange):
            inside = isinstance(value, int | float) and entry.low <= value <= entry.high
            if inside and (entry.step is None or is_whole((value - entry.low) / entry.step)):
                found[key] = value
        elif any(type(one) is type(value) and one == value for one in entry):
            found[key] = value
    return found


def current_value(params: Params, key: str) -> Any:
    if key.startswith(PRESET_PREFIX):
        return params.model.numbers.get(key.removeprefix(PRESET_PREFIX))
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
