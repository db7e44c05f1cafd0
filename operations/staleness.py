"""Which stages a run would run, found out without Prefect, which takes 15 s to start: most runs have nothing to do."""

from __future__ import annotations

from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from pipelines.sources import changes
from workspace import dvc


def stale_stages(project: Project, params: Params, registry: Registry, everything: bool = False) -> dict[str, bool]:
    """Stages that must run now -> whether DVC has to be forced, because it takes them for fresh."""
    states = dvc.status(project)
    work = {name: everything for name, state in states.items() if everything or state != "fresh"}
    if "ingest" in states and "ingest" not in work and changes.have_changed(project, params.sources):
        work["ingest"] = True
    if "curate" in states and "curate" not in work and curate_is_outdated(project):
        work["curate"] = True
    # DVC sees files, not registries: the registry that is configured now may lack the version in the receipt.
    if "register" in states and "register" not in work and not registry.receipt_known():
        work["register"] = True
    return work


def curate_is_outdated(project: Project) -> bool:
    """Whether events were folded, or a rater was forgotten, while `curate` was running, which DVC does not notice."""
    from pipelines.feedback import curated
    from pipelines.feedback.sealed import manifest

    about, listed = curated.read_summary(project.curated), manifest.read(project.manifest)
    return sorted(about.batches) != sorted(listed.batches) or about.events > listed.events
