"""genloop rebuild: makes a version again from its commit and its data, and compares the two."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from commands import console
from commands.app import Json, command
from pipelines.core.numbers import three_digits
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.rebuild import RebuildResult
    from operations.rebuild.compare import ScoreMatch, WeightsMatch

SHOWN = 8  # reasons for a difference


@command(writes=True)
def rebuild(
    project: Project,
    version: Annotated[int, typer.Argument(metavar="VERSION")],
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder that it was made in.")] = False,
    as_json: Json = False,
) -> None:
    """Make a version again from its commit and data, and say whether it is equal; exit code 1 if it is not."""
    from pipelines.registry.client import open_registry
    from workspace import conflicts

    conflicts.check(project)
    params, registry = open_registry(project)

    from operations.rebuild import rebuild

    rebuilt = rebuild(project, params, registry, version, keep, say)
    print(json.dumps(rebuilt.as_json(), indent=2)) if as_json else show(rebuilt)
    if rebuilt.folder:
        say(f"its worktree is {rebuilt.folder}; `git worktree remove --force` removes it")
    if rebuilt.match == "different":
        raise typer.Exit(1)


def show(rebuilt: RebuildResult) -> None:
    changes = " with its changes" if rebuilt.dirty else ""
    print(f"version {rebuilt.version}, made again at commit {rebuilt.commit[:12]}{changes}")
    stages = [
        (name, stage.match, "\n".join(f"{path} {how}" for path, how in stage.differs.items()))
        for name, stage in rebuilt.stages.items()
    ]
    console.table(("stage", "match", "what differs"), [*stages, ("weights", *weights(rebuilt.weights))], wide=True)
    if not rebuilt.weights.equal and rebuilt.scores:
        rows = [score(name, found) for name, found in rebuilt.scores.items()]
        console.table(("score", "difference", "95 % interval", "match"), rows)
    for reason in rebuilt.reasons[:SHOWN]:
        print(f"possible reason: {reason}")
    if len(rebuilt.reasons) > SHOWN:
        print(f"and {len(rebuilt.reasons) - SHOWN} more differences; --json lists them")
    print(rebuilt.match)


def weights(found: WeightsMatch) -> tuple[str, str]:
    if found.equal:
        return "bit-equal", ""
    if found.largest is None:
        return "different", "tensors of other names or shapes"
    return "not bit-equal", f"the largest difference is {found.largest:.3g}"


def score(name: str, found: ScoreMatch) -> tuple[str, ...]:
    match = "no difference that counts" if found.equal else f"different, by more than {three_digits(found.counts)}"
    return name, f"{found.difference:+,.3g}", f"{three_digits(found.low)} to {three_digits(found.high)}", match
