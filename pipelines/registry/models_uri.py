"""models:/NAME@alias and models:/NAME/VERSION: how MLflow names a registered version, of any model of a registry."""

from __future__ import annotations

import re
from typing import Any

from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.registry.client import Registry

MODELS_URI = re.compile(r"models:/([A-Za-z0-9][A-Za-z0-9._-]*)(?:@([A-Za-z0-9_-]+)|/([0-9]+))")


def is_models_uri(place: str) -> bool:
    return place.startswith("models:/")


def open_version(project: Project, place: str) -> tuple[str, Any]:
    """The version's name, as in `genloop-digits/7`, and its sampler.

    Raises:
        InputError: there is no such version.
    """
    found = MODELS_URI.fullmatch(place)
    if found is None:
        raise InputError(f"{place}: expected models:/NAME@alias or models:/NAME/VERSION, as in models:/genloop-digits@champion")
    name, alias, version = found.groups()
    registry = Registry(project, name, name)
    if not registry.reachable():
        raise InputError(f"{place}: there is no registry at {registry.place}; set MLFLOW_TRACKING_URI to yours")
    with registry.mlflow_errors():
        names = [model.name for model in registry.client.search_registered_models()]
    if name not in names:
        known = catalogue.unknown_name(name, names) if names else "no model is registered"
        raise InputError(f"{place}: {known} (at {registry.place})")
    aliases, numbers = registry.aliases(), registry.numbers()
    if alias is not None and alias not in aliases:
        raise InputError(f"{place}: {catalogue.unknown_name(alias, aliases) if aliases else f'{name} has no aliases'}")
    number = aliases[alias] if alias is not None else int(version)
    if number not in numbers:
        raise InputError(f"{place}: {name} has no version {number}; its versions: {', '.join(map(str, numbers))}")
    with registry.mlflow_errors():
        sampler = registry.load(number)
    if not hasattr(sampler, "draw"):
        raise InputError(f"{place}: version {number} is no model that Genloop registered: it cannot generate images")
    return f"{name}/{number}", sampler
