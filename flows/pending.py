"""What a run would do, found out without Prefect: in most runs that is nothing, and Prefect takes 15 s to start."""

from __future__ import annotations

from flows import graph
from pipelines.core import arrivals, tracking
from pipelines.core.params import Params


def pending(settings: Params, everything: bool = False) -> dict[str, bool]:
    """Stages that must run now -> whether DVC, which thinks them fresh, must be told so."""
    states = graph.status()
    work = {name: everything for name, state in states.items() if everything or state != "fresh"}
    if "ingest" in states and "ingest" not in work and arrivals.changed(settings.sources):
        work["ingest"] = True
    if "register" in states and "register" not in work and not registered(settings):
        work["register"] = True
    return work


def registered(settings: Params) -> bool:
    """Whether the registry that is configured now knows the version in the receipt. DVC sees files, not registries."""
    return tracking.receipt_known(settings)
