"""Further training: for a run of the flow `feedback`, params.yaml says that training goes on from the champion.

Stages and DVC read params.yaml, so it has to say what is done. Afterwards it is what it was, also where the run was killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from operations import preflight
from operations.preflight import RunPlan
from pipelines.core import files
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from pipelines.settings.load import load_params, update_params
from pipelines.settings.schema import Params


@contextmanager
def settings(project: Project, params: Params, registry: Registry) -> Iterator[Params]:
    """The settings, with `train.init: champion` and `train.steps` of `feedback.steps` while the context lasts.

    They stay as they are where `feedback.steps` is null, nothing is trained at all, or there is no champion that such a
    training could go on from.
    """
    if (
        params.feedback.steps is None
        or not params.model.trains
        or not can_go_on(project, further(params, params.feedback.steps), registry)
    ):
        yield params
        return
    files.write(backup(project), project.params_file.read_bytes())
    try:
        yield write(project, project.params_file, params.feedback.steps)
    finally:
        restore(project)


def restore(project: Project) -> None:
    """Undo what a run has changed in params.yaml, and nothing that somebody else has changed meanwhile."""
    kept = backup(project)
    if not kept.is_file():
        return
    before, now = load_params(kept, project.root), load_params(project.params_file)
    assert before.feedback.steps is not None
    expected = kept.with_suffix(".expected")
    shutil.copyfile(kept, expected)
    write(project, expected, before.feedback.steps)
    if expected.read_bytes() == project.params_file.read_bytes():
        files.write(project.params_file, kept.read_bytes())
    elif now.train == further(before, before.feedback.steps).train:
        update_params(project.params_file, settings=[f"train.init={before.train.init}", f"train.steps={before.train.steps}"])
    expected.unlink()
    kept.unlink()


def write(project: Project, params_file: Path, steps: int) -> Params:
    return update_params(params_file, settings=[f"train.init={CHAMPION}", f"train.steps={steps}"], root=project.root)


def further(params: Params, steps: int) -> Params:
    return params.model_copy(update={"train": params.train.model_copy(update={"init": CHAMPION, "steps": steps})})


def can_go_on(project: Project, params: Params, registry: Registry) -> bool:
    return preflight.init(RunPlan(project, params, registry, ["train"]))[0] == "ok"


def backup(project: Project) -> Path:
    """params.yaml as it was before the run."""
    return project.logs / "before-feedback" / "params.yaml"
