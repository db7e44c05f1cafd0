"""A training that goes on from the champion's: where it left off, or not at all."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from tests.training import rows

backend.load()

from pipelines import catalogue  # noqa: E402
from pipelines.models import base  # noqa: E402
from pipelines.training import warm_start  # noqa: E402

FAMILIES = [
    pytest.param(name, marks=[] if name.startswith("gan") else [pytest.mark.slow]) for name in sorted(catalogue.MODELS)
]  # those take long to compile


def report(project: Project) -> dict[str, Any]:
    return json.loads((project.reports / "train.json").read_text())


@dataclass(frozen=True)
class Champion:
    """A registry of which only the champion is asked: what is in `folder`, if anything is."""

    folder: Path
    name: str = "genloop-digits"

    def fetch(self, folder: Path, number: int | None = None) -> int | None:
        if not self.folder.exists():
            return None
        shutil.copytree(self.folder, folder)
        return 4


@pytest.fixture
def champion(project: Project) -> Champion:
    return Champion(project.root / "champion")


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_it_begins_with_every_number_that_the_champion_s_training_ended_with(
    name: str, project: Project, champion: Champion, make_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.fill(project)
    family = {"model.family": name, "model.preset": rows.preset(name)}
    rows.trained(project, make_params, family)
    shutil.copytree(project.model, champion.folder)
    ended = warm_start.read(champion.folder)
    assert warm_start.steps(champion.folder) == 6
    seen: dict[str, np.ndarray] = {}
    restore = warm_start.restore

    def look(folder: Path, model: base.Family) -> None:
        restore(folder, model)
        seen.update(warm_start.capture(model))

    monkeypatch.setattr(warm_start, "restore", look)
    rows.trained(project, make_params, {**family, "train.init": "champion"}, champion)
    assert rows.equal(seen, ended)
    assert report(project)["parent_version"] == 4
    assert warm_start.steps(project.model) == 12
    assert not rows.equal(warm_start.read(project.model), ended)


def test_the_learning_rate_begins_anew_and_lower_and_the_average_remembers_all() -> None:
    from pipelines.models.components import WARM_START_RATE

    preset = catalogue.get(catalogue.MODELS, "gan").presets["tiny"]
    model = base.build(catalogue.get(catalogue.MODELS, "gan"), base.ImageSpec(8, 1, 2), preset, 0)
    later = [float(model.optimizer_for(100, first)._learning_rate(step)) for first, step in ((0, 0), (500, 500), (500, 600))]
    assert later[1] == pytest.approx(WARM_START_RATE * later[0])
    assert later[1] > later[2]
    assert [model.optimizer_for(100, first).ema_momentum for first in (0, 500)] == pytest.approx([1 - 1 / 5, 1 - 1 / 30])


@pytest.mark.slow
def test_the_same_warm_start_gives_the_same_weights_twice(project: Project, champion: Champion, make_params: Any) -> None:
    rows.fill(project)
    rows.trained(project, make_params)
    shutil.copytree(project.model, champion.folder)
    once, again = (rows.trained(project, make_params, {"train.init": "champion"}, champion) for _ in range(2))
    assert rows.equal(once, again)


def test_without_a_champion_it_begins_from_scratch_and_says_so(
    project: Project, champion: Champion, make_params: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.fill(project)
    warmed = rows.trained(project, make_params, {"train.init": "champion"}, champion)
    assert "has no champion yet to go on from; from scratch" in capsys.readouterr().out
    assert report(project)["parent_version"] is None
    assert rows.equal(warmed, rows.trained(project, make_params))


def test_another_architecture_is_said_part_by_part(project: Project, champion: Champion, make_params: Any) -> None:
    rows.fill(project)
    rows.trained(project, make_params)
    shutil.copytree(project.model, champion.folder)
    before = (project.model / "weights.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"its preset is .* ask for .*; set train.init to scratch"):
        rows.trained(project, make_params, {"train.init": "champion", "model.preset": "small"}, champion)
    with pytest.raises(InputError, match=r"its family is gan, and params\.yaml and the data ask for gan-dense"):
        rows.trained(
            project, make_params, {"train.init": "champion", "model.family": "gan-dense", "model.preset": "small"}, champion
        )
    shutil.rmtree(project.clean)
    rows.fill(project, classes=("left", "right"))
    with pytest.raises(InputError, match="its spec is"):
        rows.trained(project, make_params, {"train.init": "champion"}, champion)
    assert (project.model / "weights.safetensors").read_bytes() == before


def test_a_champion_without_its_training_s_state_is_said(project: Project, champion: Champion, make_params: Any) -> None:
    rows.fill(project)
    rows.trained(project, make_params)
    shutil.copytree(project.model, champion.folder)
    state = champion.folder / warm_start.STATE
    whole = state.read_bytes()
    state.write_bytes(whole[:-40])
    with pytest.raises(InputError, match="cannot be read"):
        rows.trained(project, make_params, {"train.init": "champion"}, champion)
    state.unlink()
    with pytest.raises(InputError, match="registered without the state of its training"):
        rows.trained(project, make_params, {"train.init": "champion"}, champion)
