"""The provenance of a project's folder: whether it was copied or moved, from where, and what of it is still there."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from pipelines.core.errors import GenloopError
from pipelines.core.files import same
from pipelines.core.project import Project
from pipelines.registry import places
from pipelines.registry.client import Registry
from workspace import copies

# What a project writes to, and what links in a copy would share with the original.
WRITTEN = ("data", "data/feedback.db", "mlruns", "mlflow.db", "checkpoints", "logs", ".dvc/cache")


@dataclass(frozen=True)
class Provenance:
    """facts: sentences; none where the project has always been here. faults: sentences that say what to do."""

    facts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def provenance(project: Project, registry: Registry) -> Provenance:
    """What is known of it. The artifact places of a registry in a file are brought up to date first."""
    found = Provenance(faults=copies.faults(project))
    if registry.store is None or not registry.store.exists():
        return found
    try:
        registry.claim_store()
        origin = places.origin(registry.store)
    except (GenloopError, sqlite3.Error):  # for who opens it to report
        return found
    if origin.previous is not None:
        came = "copied from" if origin.copied else "moved here from"
        found.facts.append(f"{came} {origin.previous}; the registry's artifacts were found anew")
        names = [name for name in WRITTEN if (project.root / name).exists()]
        if shared := ", ".join(name for name in names if same(project.root / name, origin.previous / name)):
            both = f"by links the same as in {origin.previous}, so both projects write there"
            found.faults.append(f"{shared}: {both}; replace the links by copies")
    if origin.left_behind:
        names = origin.left_behind
        found.faults.append(f"the files of {', '.join(names)} are in {origin.previous} alone; copy its {places.ARTIFACTS} here")
    if origin.missing:
        names = origin.missing
        found.faults.append(f"the files of {', '.join(names)} are missing; bring {places.ARTIFACTS} back from a backup")
    return found
