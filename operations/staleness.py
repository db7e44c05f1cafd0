"""Which stages a run would run, found out without Prefect, which takes 15 s to start: most runs have nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.settings.schema import Params
from pipelines.sources import changes
from workspace import dvc
from workspace.dvc import State


def stale_stages(
    project: Project,
    params: Params,
    registry: Registry,
    everything: bool = False,
    log: Callable[[str], None] = lambda line: None,
) -> dict[str, bool]:
    """Stages that must run now -> whether DVC has to be forced. log: gets a line where something cannot be known."""
    states = dvc.status(project)
    work = {name: everything for name, state in states.items() if everything or state != "fresh"}
    work |= dict.fromkeys(outdated(project, params, registry, states, log), True)
    # Unless it is forced, DVC may take from its cache what `ingest` once made of places that it does not look at.
    if "ingest" in work and any(getattr(source, "path", None) for source in params.sources):
        work["ingest"] = True
    return {name: work[name] for name in states if name in work}


def stage_states(project: Project, params: Params, registry: Registry) -> dict[str, State]:
    """What `dvc.status` says, with the stages that DVC takes for fresh and that would run all the same."""
    states = dvc.status(project)
    if first := next(iter(outdated(project, params, registry, states)), None):
        names = list(states)
        for name in names[names.index(first) :]:  # all after it depend on it
            states[name] = "stale" if states[name] == "fresh" else states[name]
    return states


def outdated(
    project: Project,
    params: Params,
    registry: Registry,
    states: Mapping[str, State],
    log: Callable[[str], None] = lambda line: None,
) -> list[str]:
    """Stages that DVC takes for fresh, because it does not see what they depend on; in order."""
    fresh = [name for name, state in states.items() if state == "fresh"]
    checks = {
        "ingest": lambda: changes.have_changed(project, params.sources, log),
        "curate": lambda: curate_is_outdated(project),
        # DVC sees files, not registries: the registry that is configured now may lack the version in the receipt.
        "register": lambda: not registry.receipt_known(),
    }
    return [name for name in fresh if name in checks and checks[name]()]


def curate_is_outdated(project: Project) -> bool:
    """Whether events were folded, or a rater was forgotten, while `curate` was running, which DVC does not notice."""
    from pipelines.feedback import curated
    from pipelines.feedback.sealed import manifest

    about, listed = curated.read_summary(project.curated), manifest.read(project.manifest)
    return sorted(about.batches) != sorted(listed.batches) or about.events > listed.events
