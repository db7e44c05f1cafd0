"""What a run would do, found out without Prefect: in most runs that is nothing, and Prefect takes 15 s to start."""

from __future__ import annotations

from pipelines.core import paths
from pipelines.registry import client
from pipelines.settings.schema import Params
from pipelines.sources import changes
from workspace import dvc


def pending(params: Params, everything: bool = False) -> dict[str, bool]:
    """Stages that must run now -> whether DVC, which thinks them fresh, must be told so."""
    states = dvc.status()
    work = {name: everything for name, state in states.items() if everything or state != "fresh"}
    if "ingest" in states and "ingest" not in work and changes.changed(params.sources):
        work["ingest"] = True
    if "curate" in states and "curate" not in work and overtaken():
        work["curate"] = True
    if "register" in states and "register" not in work and not registered(params):
        work["register"] = True
    return work


def unmeasured(params: Params) -> bool:
    """Whether the noise floor must be measured before a version can be held against the champion."""
    compares = any(rule.kind in ("better", "not_worse") for rule in params.promotion.rules)
    return compares and params.promotion.noise > 0 and (dvc.noise() != "fresh" or outdated(params))


def outdated(params: Params) -> bool:
    """Whether what people like, which a rule asks for, was not known yet when it was measured. DVC looks at settings alone."""
    from pipelines.promotion import noise_floor
    from pipelines.scoring import approval

    asked = any((rule.metric, rule.kind) == ("approval", "better") for rule in params.promotion.rules)
    found = noise_floor.read() if asked else None
    return found is not None and found.floor("approval") is None and approval.read() is not None


def registered(params: Params) -> bool:
    """Whether the registry that is configured now knows the version in the receipt. DVC sees files, not registries."""
    return client.receipt_known(params)


def overtaken() -> bool:
    """Whether somebody folded, or a rater was forgotten, while `curate` was running: DVC sees the files as it left them."""
    from pipelines.feedback import curated
    from pipelines.feedback.sealed import manifest

    made, listed = curated.read_about(paths.CURATED), manifest.read()
    return sorted(made.batches) != sorted(listed.batches) or made.events > listed.events
