"""Simulate: the loop with simulated raters, by turns: generate -> vote -> fold -> train -> evaluate -> register -> champion.

A turn runs the same store, fold and stages as a project with people, in a copy of the project. Only the raters are simulated,
and every new version becomes champion without a gate, so that the effect of votes shows.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from operations import external_folder, fold, staleness
from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from pipelines.settings.load import update_params
from pipelines.settings.schema import Params
from pipelines.simulation import judge, output, raters, turns
from pipelines.simulation.judge import Judge
from pipelines.simulation.settings import Simulation
from pipelines.simulation.turns import Turn
from workspace import dvc, scratch, stages


def run(project: Project, params: Params, settings: Simulation, out: Path) -> Iterator[Turn]:
    """Yield each turn when it ends, beginning with the one before any vote; `out` then has its figures and images.

    Args:
        project: the original of the copy.
        out: an absolute folder, empty or of an earlier simulation, which is then overwritten.

    Raises:
        InputError: `out` holds something else, or the settings do not fit the project.
        GenloopError: a stage failed.
    """
    measured: list[Turn] = []
    with output.prepare_folder(out, settings):
        say("turn 0: a copy of the project, before any vote")
        copy = copy_project(project, params, out / output.PROJECT, excluded=out)
        parent = fetch_parent(project, params, copy.logs / "parent")
        began = time.monotonic()
        first_params = settings.lay_over(copy, 0)
        registry = Registry.open(copy, first_params.registry)
        run_stale_stages(copy, first_params, registry, parent)
        expert = judge.fit(settings.taste, copy.clean)
        output.describe(out, settings, expert)
        for number in range(settings.turns + 1):
            if number:
                began = time.monotonic()
                take_turn(copy, registry, settings, number, expert)
            turn, fresh = turns.measure(copy, registry, settings, number, expert, began)
            measured.append(turn)
            output.show(out, measured, expert, fresh)
            yield turn


def take_turn(copy: Project, registry: Registry, settings: Simulation, number: int, expert: Judge) -> None:
    """Raters vote on images of the champion, and the next champion is trained on their votes."""
    params = settings.lay_over(copy, number)
    votes = f"{settings.votes:,} votes by {settings.raters} raters on {settings.samples:,} samples"
    say(f"turn {number} of {settings.turns}: {votes}")
    raters.record(copy, params, registry, settings, number, expert)
    fold.fold(copy, params, registry, say)
    run_stale_stages(copy, params, registry)


def copy_project(project: Project, params: Params, folder: Path, excluded: Path) -> Project:
    """Copy the project into the new `folder`: under git, without any feedback, with absolute paths of sources.

    excluded: a folder that is not copied; it may hold `folder`.
    """
    copy = scratch.copy(project, folder, excluded)
    manifest.update(copy.feedback, copy.manifest)
    sources = enumerate(source.at(project.root).model_dump(mode="json") for source in params.sources)
    paths = [f"sources.{number}.path={source['path']}" for number, source in sources if source.get("path")]
    update_params(copy.params_file, settings=[*paths, *external_folder.settings_in_copy(project, params, copy)])
    scratch.commit(copy)
    return copy


def fetch_parent(project: Project, params: Params, folder: Path) -> Path | None:
    """Fetch the version that the project's trainings go on from into the new `folder`; None where they start from scratch.

    The copy has an empty registry, so it would train from scratch for the few steps of a further training.
    """
    init = params.train.init
    if init == "scratch":
        return None
    fetched = Registry.open(project, params.registry).fetch(folder, None if init == CHAMPION else int(init))
    return None if fetched is None else folder


def run_stale_stages(copy: Project, params: Params, registry: Registry, parent: Path | None = None) -> None:
    """Run every stale stage, and make the registered version champion.

    parent: the folder of a model to use instead of running `train`.
    """
    for name in dvc.stages(copy):
        # Found out anew each time, as in `genloop run`: a stage whose output did not change leaves the stages after it fresh.
        work = staleness.stale_stages(copy, params, registry)
        if name == "train" and name in work and parent is not None:
            use_model(copy, parent)
        elif name in work:
            say(f"── {name}")
            stages.repro(copy, name, work[name], log=lambda line: None)
            dvc.check_cache(copy, name)
    receipt = registry.receipt()
    assert receipt is not None
    registry.set_alias(CHAMPION, receipt["version"])


def use_model(copy: Project, parent: Path) -> None:
    """Make the model in `parent` the output of `train`."""
    with files.replacement(copy.model) as folder:
        shutil.copytree(parent, folder, dirs_exist_ok=True)
    if (message := dvc.run_command(copy, "commit", "--quiet", "--force", "train")) is not None:
        raise GenloopError(f"dvc commit train: {message}")
