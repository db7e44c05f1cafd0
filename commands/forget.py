"""genloop forget: removes one rater from the database and the dataset."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.app import Json, command
from commands.console import confirm
from commands.influence import describe_versions, open_store, versions
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.settings.schema import Params


@command(writes=True)
def forget(
    project: Project,
    rater: Annotated[str, typer.Argument(metavar="RATER", help="The name that the events of this rater have.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, even if no event has this name.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a rater from the database and the dataset, and say which versions to retire."""
    check(rater)

    from operations.fold import plural
    from pipelines.feedback import rater_lineage
    from pipelines.feedback.sealed import manifest
    from pipelines.registry.client import open_registry
    from workspace import conflicts

    params, registry = open_registry(project)
    conflicts.check(project)
    manifest.require(project.feedback, project.manifest)
    with open_store(project) as store:
        found = rater_lineage.find(project, rater, store)
        is_forgotten = rater_lineage.is_forgotten(rater, store)
        similar = [] if found.events or is_forgotten else rater_lineage.similar_names(project, rater, store)
    learned = versions(registry, found.sealed)

    # Printed before anything is deleted: afterwards it cannot be found out any more.
    events = f"{plural(len(found.events), 'event')} in {plural(len(found.sealed), 'fold')}"
    about = f"{events}; versions that have learned from them: {describe_versions(learned)}"
    if not found.events:
        about = describe_unknown(similar, is_forgotten)
    no_terminal_message = f"{rater}: {about}; there is no terminal to ask at, so say --yes to forget it"
    if not yes and not confirm(f"Forget {rater}? {about}", no_terminal_message):
        raise GenloopError("nothing is forgotten")
    say(f"forget: {about}")

    from operations.forget import forget
    from workspace import dvc_cache

    done = forget(project, rater, say)
    state = {
        "rater": rater,
        "events": done.forgotten.events,
        "images": len(done.forgotten.images),
        "folds": done.forgotten.batches,
        "versions": learned,
        "committed": done.committed,
        "stages": done.stages,
        "superseded": done.deleted_objects,
        "still": remaining_copies(rater, params, learned, list(dvc_cache.remotes(project))),
    }
    print(json.dumps(state, indent=2)) if as_json else show(state)


def describe_unknown(similar: list[str], is_forgotten: bool) -> str:
    """What to know before a rater without events is forgotten: a wrong name would leave the right one in the data."""
    if is_forgotten:
        return "was forgotten before, and no event of this name has come since"
    hint = f" (did you mean {' or '.join(similar)}?)" if similar else ""
    return f"no event is by a rater of this name{hint}; to forget it removes nothing and bars the name for good"


def check(rater: str) -> None:
    """Raises InputError where `rater` cannot be the name of a rater."""
    from pydantic import TypeAdapter, ValidationError

    from pipelines.feedback.events import Id

    try:
        TypeAdapter(Id).validate_python(rater)
    except ValidationError:
        raise InputError(f"RATER: expected 1 to 128 letters, digits and . _ : @ + / -; came {rater!r}") from None


def remaining_copies(rater: str, params: Params, learned: list[dict[str, Any]], remotes: list[str]) -> list[str]:
    """Places that may still hold data of the rater, and how to remove it there."""
    places = [
        "older versions of the data in DVC's cache: `dvc gc --workspace` deletes all that the workspace does not need",
        *(f"the same in the remote {name}: `dvc push`, then `dvc gc --workspace --cloud --remote {name}`" for name in remotes),
        "backups (`genloop backup`, and your own of the database and of data/uploads), PostgreSQL's write-ahead log: until you "
        "delete them",
        "checkpoints of trainings that did not end, and temporary files of one that was killed: delete the folder "
        "`checkpoints`, and run `genloop gc`",
        "files that feedback was imported from, and their .rejected.jsonl",
    ]
    if learned:
        again = "genloop run --set train.init=scratch" if params.train.init == "champion" else "genloop run"
        places.append(f"the models {describe_versions(learned)}, and those trained on from them: `{again}` trains one without")
    if rater in params.feedback.experts:
        places.append(f"params.yaml: feedback.experts names {rater}; take the name out")
    return places


def show(state: dict[str, Any]) -> None:
    from operations.fold import plural

    if not state["events"]:
        print(f"{state['rater']}: there was nothing to forget; events of this rater are rejected from now on")
        print("  this cannot be undone; whoever comes under this name later needs another one")
    else:
        removed = f"{plural(state['events'], 'event')} and {plural(state['images'], 'image')}"
        print(f"forgot {removed}, out of {plural(len(state['folds']), 'fold')}")
        print(f"  versions that had learned from them: {describe_versions(state['versions'])}")
        print(f"  stages that ran again: {', '.join(state['stages']) or 'none'}")
    print(f"what may still hold something of theirs{'' if state['events'] else ', if there ever was anything'}:")
    for place in state["still"]:
        print(f"  {place}")
