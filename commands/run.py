"""genloop run: runs every stale stage, from images to a registered model, which the gate then judges."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.app import Overlays, Settings, command
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.registry.client import Registry
    from pipelines.settings.schema import Params

SCORES = ("fid", "told_apart", "precision", "recall", "class_accuracy", "memorisation", "approval")  # that a run shows


@command(writes=True)
def run(
    project: Project,
    overlays: Overlays = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    force: Annotated[bool, typer.Option("--force", help="Run every stage, fresh or not.")] = False,
) -> None:
    """Bring everything up to date: data, model, scores, registry. Settings are written into params.yaml."""
    from workspace import conflicts
    from workspace.locks import run_lock

    try:
        with run_lock(project):
            conflicts.check(project)  # first, because settings are written into a file that may have some
            with restoring(project.params_file):
                params = update(project, overlays, settings)
                registry, work = plan(project, params, force)
            bring_up_to_date(project, params, registry, work, force)
    except KeyboardInterrupt:
        raise GenloopError(describe_interruption(project)) from None


@contextmanager
def restoring(path: Path) -> Iterator[None]:
    """A block that changes a file; what it was comes back where the block refuses what was asked for."""
    from pipelines.settings.yaml_files import write_bytes

    before = path.read_bytes()
    try:
        yield
    except InputError as error:
        if path.read_bytes() == before:
            raise
        write_bytes(path, before)
        raise InputError(f"{error}\n{path.name} is as it was before, without these settings") from None


def plan(project: Project, params: Params, force: bool) -> tuple[Registry, list[str]]:
    """The registry, and the stages to run. Raises InputError where they cannot succeed."""
    from operations import preflight
    from operations.staleness import stale_stages
    from pipelines.promotion import decisions
    from pipelines.registry.client import Registry

    registry = Registry.open(project, params.registry)
    work = [*stale_stages(project, params, registry, force, say)] or ["promote"] * decisions.is_due(project, params, registry)
    if work:
        preflight.require(preflight.RunPlan(project, params, registry, work), say)
    return registry, work


def bring_up_to_date(project: Project, params: Params, registry: Registry, work: list[str], force: bool) -> None:
    """Run what is stale, if anything is, and show the results."""
    from operations import versioning

    if work:
        more = "" if {"register", "promote"} & {*work} else ", and what changes with it"
        say(f"to do: {', '.join(work)}{more}; starting Prefect")
        from flows.server import server  # only now: the import takes seconds, and a run with nothing to do needs none of it

        with server(project):
            from flows.retrain import retrain

            retrain(force, str(project.root))
    else:  # what a run that was killed at its end has left to do needs no Prefect
        if versioning.has_uncommitted(project, params):
            versioning.commit(project, params, registry, say)
        versioning.push(project, params, say)
    show(project, params, registry, ran=bool(work))


def describe_interruption(project: Project) -> str:
    from operations import versioning
    from workspace import git

    changed = git.changed(project, [project.params_file, *versioning.recorded_files(project)])
    names = ", ".join(git.relative_names(project, changed))
    left = f"; changed and not committed yet: {names}" if names else ""
    return f"interrupted; the stages that had ended are kept, and the next run goes on from there{left}"


def update(project: Project, overlays: Iterable[Path], settings: Iterable[str]) -> Params:
    """Write settings into params.yaml. Paths among them are relative to the working directory."""
    from pipelines.settings.load import update_params

    return update_params(project.params_file, overlays, [path_from_root(project, setting) for setting in settings])


def path_from_root(project: Project, setting: str) -> str:
    """The same setting; a path in it becomes relative to the project's root."""
    from pipelines.settings.load import unquote

    key, equals, text = setting.partition("=")
    path = unquote(text)
    if key == "model.external" and path:
        path = os.path.expanduser(path)  # what DVC does not do, to which the folder is an input
    elif not key.endswith(".path") or "://" in path or path.startswith("~"):
        return setting
    if not path or Path(path).is_absolute():
        return f"{key}{equals}{path}"
    return f"{key}{equals}{os.path.relpath(path, project.root)}"


def show(project: Project, params: Params, registry: Registry, ran: bool) -> None:
    """Print the results of a run, and what to do next."""
    from pipelines.promotion import decisions
    from pipelines.registry.versions import CHALLENGER, CHAMPION

    print("done" if ran else "nothing to do: every stage is fresh")
    champion, challenger = registry.alias(CHAMPION), registry.alias(CHALLENGER)
    newest = champion if challenger is None else challenger
    decision = None if newest is None else decisions.latest(registry.version(newest))
    numbers = {CHAMPION: champion, CHALLENGER: challenger}
    versions = [(alias, f"{registry.name} version {number}") for alias, number in numbers.items() if number is not None]
    facts = [*scores(project.reports), *versions]
    if decision:
        facts.append(("gate", decisions.summary(decision) + (f"; {decision.declined}" if decision.declined else "")))
    pages = {"samples": "samples.png", "evaluation": "evaluation.html", "data report": "data.html"}
    paths = {name: project.reports / file for name, file in pages.items()}
    facts += [(name, str(project.relative(path))) for name, path in paths.items() if path.is_file()]
    width = max((len(name) for name, _ in facts), default=0)
    for name, words in facts:
        print(f"  {name:<{width}}  {words}")
    print("next:")
    for command_line in suggestions(project, params, None if champion else challenger):
        print(f"  {command_line}")


def suggestions(project: Project, params: Params, version: int | None) -> Iterator[str]:
    """Commands that a user may want next. version: the one to generate from; None for the champion."""
    from workspace import git

    programs = program_folder(project)
    if params.versioning.commit and git.changed(project, [project.params_file]):
        yield f"git commit {project.relative(project.params_file)}   # your settings; runs commit only what DVC has recorded"
    yield f"{programs}genloop generate --count 64 --out grid.png" + ("" if version is None else f" --version {version}")
    if all(source.type == "digits" for source in params.sources):  # nothing of the user's own yet
        yield f"{programs}genloop run --params examples/mnist.yaml --set sources.0.path=mnist.npz"
    else:
        yield f"{programs}genloop history"
    yield f"{programs}mlflow ui --backend-store-uri sqlite:///mlflow.db"


def scores(folder: Path) -> list[tuple[str, str]]:
    """The scores of the newest model that tell most, and what they mean in words."""
    from pipelines.evaluation import summary
    from pipelines.scoring import readings

    if not (folder / "metrics.json").is_file():
        return []
    findings = summary.read(folder)
    rows = [row for row in readings.rows(findings.metrics) if row.name in SCORES]
    words = zip(("in short", ""), summary.headline(findings), strict=False)
    return [*words, *(row.fact() for row in rows)]


def program_folder(project: Project) -> str:
    """The folder of the installed programs, as the user types it in the project's root; empty outside of it."""
    folder = Path(os.path.normpath(sys.executable)).parent
    return f"{project.relative(folder)}/" if folder.is_relative_to(project.root) else ""
