"""The loop with simulated raters, turn after turn: draw -> vote -> fold -> train -> evaluate -> register -> champion.

What happens in a turn is what happens in a project with people: the same store, fold and stages, in a copy of the project. Only
the raters are simulated, and every new version becomes champion: no gate stands between, so that what votes do is seen.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from operations import fold
from pipelines.core import backend, files, paths, reports
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.images import Limits
from pipelines.feedback.sealed import uploads
from pipelines.feedback.store.event_store import Store
from pipelines.registry import client
from pipelines.settings.load import load_params
from pipelines.settings.overlay import update_params
from pipelines.settings.schema import Params
from pipelines.simulation import effects, judge, output, raters, samples, upload_images
from pipelines.simulation.judge import Judge
from pipelines.simulation.samples import Drawn
from pipelines.simulation.settings import Simulation
from pipelines.simulation.turns import Turn, wilson
from workspace import dvc, scratch, snapshot, terminal
from workspace.stages import repro
from workspace.staleness import pending

GIVEN = paths.LOGS / "given"  # the model that the copy begins with, where it does not train one
WARM = {"init": "champion", "steps": 400}  # of `train` from the first turn on, where the settings say nothing else


def run(
    settings: Simulation, out: Path, start: Path | None = None, told: Callable[[Turn], None] = lambda turn: None
) -> list[Turn]:
    """Every turn, the one before any vote included; what there is after each lies in `out`.

    Args:
        out: a folder that is empty, or that another simulation has made, which is then started anew.
        start: the project that is copied; by default that of the working directory.
        told: called after each turn.

    Raises:
        InputError: `out` holds something else, or the settings do not fit the project.
        GenloopError: a stage failed.
    """
    start, out = (start or paths.root()).resolve(), out.resolve()
    turns: list[Turn] = []
    with output.prepared(out, settings):
        say("turn 0: a copy of the project, as it is before anybody has voted")
        scratch.copy(start, out / output.PROJECT, apart=out)
        given = out / output.PROJECT / GIVEN
        with scratch.inside(start, {}):
            begin_with(load_params(), given)
        with scratch.inside(out / output.PROJECT, scratch.variables(out / output.PROJECT)):
            backend.load()
            began = time.monotonic()
            catch_up(lay_over({key: value for key, value in settings.params.items() if key != "train"}), given)
            expert = judge.fit(settings.taste, paths.CLEAN)
            output.describe(out, settings, expert)
            for number in range(settings.turns + 1):
                if number:
                    began = time.monotonic()
                    take_turn(settings, number, expert)
                turn, fresh = measure(settings, number, expert, began)
                turns.append(turn)
                output.show(out, turns, expert, fresh)
                told(turn)
    return turns


def take_turn(settings: Simulation, number: int, expert: Judge) -> None:
    """People say something of what the champion draws, and the next champion comes of it."""
    params = lay_over({**settings.params, "train": {**WARM, **settings.params.get("train", {})}})
    said = f"{settings.votes:,} votes by {settings.raters} raters on {settings.samples:,} samples"
    say(f"turn {number} of {settings.turns}: {said}")
    shown = draw(settings, params, number, settings.samples)
    liked = expert.likes(shown.images, shown.labels)
    samples = shown.samples()
    sent = list(upload_images.images(settings, number, expert))
    limits = Limits(**params.ingest.model_dump())
    kept = [uploads.keep(image, limits) for image, _ in sent]
    with Store.open() as store:
        store.add_samples(samples)
        store.add(raters.vote(settings, number, samples, liked))
        store.add(raters.report(settings, number, samples, liked))
        store.add(raters.upload(settings, number, kept, [label for _, label in sent]))
    fold.fold(params, say)
    catch_up(params)


def begin_with(params: Params, given: Path) -> None:
    """Where the project's trainings go on from a version, its copy begins with that one.

    The copy has no registry to look into, and would train for as few steps from nothing.
    """
    init = params.train.init
    if init != "scratch":
        client.fetch(params, given, None if init == "champion" else init)


def catch_up(params: Params, given: Path | None = None) -> None:
    """Run every stage that is stale, and let the version that comes of it be champion.

    given: a model that takes the place of what `train` would make.
    """
    for name in dvc.stages():
        # Asked anew each time, as in `genloop run`: a stage that made the same as before leaves those after it fresh.
        work = pending(params)
        if name == "train" and name in work and given is not None and given.is_dir():
            take_over(given)
        elif name in work:
            terminal.show(f"── {name}\n".encode())
            repro(name, work[name], log=lambda line: None)
            dvc.check_cache(name)
    version = json.loads(client.RECEIPT.read_text(encoding="utf-8"))["version"]
    client.point(params, client.CHAMPION, version)


def take_over(given: Path) -> None:
    with files.replacing(paths.MODEL) as folder:
        shutil.copytree(given, folder, dirs_exist_ok=True)
    if (words := snapshot.run("commit", "--quiet", "--force", "train")) is not None:
        raise GenloopError(f"dvc commit train: {words}")


def measure(settings: Simulation, number: int, expert: Judge, began: float) -> tuple[Turn, Drawn]:
    """The champion, by samples that nobody has voted on and by what the stages reported."""
    fresh = draw(settings, load_params(), 0, settings.fresh)
    approval = wilson(int(expert.likes(fresh.images, fresh.labels).sum()), len(fresh.images))
    least, greatest = expert.balance(fresh.images, fresh.labels) if fresh.classes else (None, None)
    scores = reports.read("metrics")
    reported: dict[str, Any] = {name: scores.get(name) for name in ("fid", "fid_low", "fid_high", "recall", "coverage")}
    turn = Turn(
        turn=number,
        version=fresh.version,
        approval=approval.value,
        approval_low=approval.low,
        approval_high=approval.high,
        **reported,
        least=least,
        greatest=greatest,
        **effects.read(),
        votes=settings.votes if number else 0,
        seconds=time.monotonic() - began,
    )
    return turn, fresh


def draw(settings: Simulation, params: Params, turn: int, count: int) -> Drawn:
    """Raises InputError where the taste goes by classes, and the model cannot be asked for one."""
    found = samples.draw(params, settings.seed, turn, count)
    if settings.taste.of_labels and not found.classes:
        raise InputError(
            f"the taste {settings.taste.name!r} judges an image by the class asked for, and this model draws without classes; "
            "choose another taste"
        )
    return found


def lay_over(changes: dict[str, Any]) -> Params:
    """Write `changes` into the copy's params.yaml, comments kept."""
    path = paths.LOGS / "simulation.yaml"
    files.write(path, json.dumps(changes))  # JSON is YAML
    return update_params([path])


def say(line: str) -> None:
    terminal.show(f"{line}\n".encode())
