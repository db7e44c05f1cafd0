"""genloop gc: frees what no version, no commit, no study and no run needs any more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from commands import console
from commands.app import Json, command
from pipelines.core.errors import GenloopError
from pipelines.core.numbers import describe_bytes
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.garbage import Garbage, Kind

WORDS: dict[Kind, str] = {
    "cache": "objects in DVC's cache",
    "models": "models in MLflow that are no version",
    "runs": "runs in MLflow without a version",
    "checkpoints": "checkpoints of trainings that have ended",
    "temporary": "temporary files of runs that were killed",
}


@command(writes=True)
def gc(
    project: Project,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be freed, and free nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    past: Annotated[
        bool, typer.Option("--past", help="Also data that only older commits of a branch name, and no version or tag.")
    ] = False,
    hours: Annotated[
        float, typer.Option(min=0, help="Leave checkpoints, half-written files and unfinished runs of the last HOURS.")
    ] = 24.0,
    as_json: Json = False,
) -> None:
    """Free what nothing needs any more: of DVC's cache, MLflow, checkpoints and temporary files.

    What a registered version, a commit, the history or an open study needs stays. --dry-run says what would be freed.
    """
    from operations import garbage
    from operations.garbage import GarbageRules
    from pipelines.registry.client import open_registry
    from workspace import conflicts

    conflicts.check(project)
    _, registry = open_registry(project)
    rules = GarbageRules(past, hours)
    result = garbage.find(project, registry, rules)
    if result.pieces and not dry_run:
        confirm(result, yes, as_json)
        result = garbage.free(project, registry, rules, result, say)
    for note in result.notes:
        say(f"gc: {note}")
    if as_json:
        print(json.dumps({"dry_run": dry_run, **result.as_json()}, indent=2))
    else:
        show(result, "would be freed" if dry_run else "freed")


def confirm(found: Garbage, yes: bool, as_json: bool) -> None:
    """Raises GenloopError where the user says no."""
    if yes:
        return
    if not as_json:
        show(found, "would be freed")
    no_terminal_message = (
        f"{describe_bytes(found.size)} would be freed; there is no terminal to ask at, so say --yes, or --dry-run"
    )
    if not console.confirm(f"Free {describe_bytes(found.size)}? It cannot be undone", no_terminal_message):
        raise GenloopError("nothing is freed")


def show(found: Garbage, verb: str) -> None:
    rows = [(WORDS[kind], f"{count:,}", describe_bytes(total)) for kind, (count, total) in found.counts().items()]
    console.table(("what", "count", "size"), [*rows, (verb, f"{len(found.pieces):,}", describe_bytes(found.size))])
