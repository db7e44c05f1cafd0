"""A training that goes on from the champion's: where it left off, or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import backend, paths
from pipelines.core.errors import InputError
from pipelines.registry import client
from tests.training import rows

backend.load()

from pipelines import catalogue  # noqa: E402
from pipelines.models import base  # noqa: E402
from pipelines.training import fitting, warm_start  # noqa: E402

FAMILIES = [
    pytest.param(name, marks=[] if name.startswith("gan") else [pytest.mark.slow]) for name in sorted(catalogue.MODELS)
]  # those take long to compile


def report() -> dict[str, Any]:
    return json.loads((paths.REPORTS / "train.json").read_text())


@pytest.fixture
def champion(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for the registry's champion: what is put there is fetched."""
    place = project / "champion"

    def fetch(params: Any, folder: Path, version: int | None = None) -> int | None:
        if not place.exists():
            return None
        shutil.copytree(place, folder)
        return 4

    monkeypatch.setattr(client, "fetch", fetch)
    return place


@pytest.mark.parametrize("name", FAMILIES)
def test_it_begins_with_every_number_that_the_champion_s_training_ended_with(
    name: str, champion: Path, make_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows.fill()
    family = {"model.family": name, "model.preset": rows.preset(name)}
    rows.trained(make_params, family)
    shutil.copytree(paths.MODEL, champion)
    ended = warm_start.read(champion)
    assert warm_start.steps(champion) == 6
    seen: dict[str, np.ndarray] = {}
    begin = warm_start.begin

    def look(folder: Path, model: base.Family) -> None:
        begin(folder, model)
        seen.update(warm_start.capture(model))

    monkeypatch.setattr(fitting.warm, "begin", look)
    rows.trained(make_params, {**family, "train.init": "champion"})
    assert rows.equal(seen, ended)
    assert report()["parent_version"] == 4
    assert warm_start.steps(paths.MODEL) == 12
    assert not rows.equal(warm_start.read(paths.MODEL), ended)


def test_the_learning_rate_begins_anew_and_lower_and_the_average_remembers_all() -> None:
    from pipelines.models.base import GOING_ON

    preset = catalogue.literal(catalogue.MODELS, "gan", "PRESETS")["tiny"]
    model = base.build(catalogue.get(catalogue.MODELS, "gan"), base.ImageSpec(8, 1, 2), preset, 0)
    later = [float(model.optimizer_for(100, first)._learning_rate(step)) for first, step in ((0, 0), (500, 500), (500, 600))]
    assert later[1] == pytest.approx(GOING_ON * later[0])
    assert later[1] > later[2]
    assert [model.optimizer_for(100, first).ema_momentum for first in (0, 500)] == pytest.approx([1 - 1 / 5, 1 - 1 / 30])


def test_the_same_warm_start_gives_the_same_weights_twice(champion: Path, make_params: Any) -> None:
    rows.fill()
    rows.trained(make_params)
    shutil.copytree(paths.MODEL, champion)
    once, again = (rows.trained(make_params, {"train.init": "champion"}) for _ in range(2))
    assert rows.equal(once, again)


def test_without_a_champion_it_begins_from_scratch_and_says_so(
    champion: Path, make_params: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows.fill()
    warmed = rows.trained(make_params, {"train.init": "champion"})
    assert "has no champion yet to go on from; from scratch" in capsys.readouterr().out
    assert report()["parent_version"] is None
    assert rows.equal(warmed, rows.trained(make_params))


def test_another_architecture_is_said_part_by_part(champion: Path, make_params: Any) -> None:
    rows.fill()
    rows.trained(make_params)
    shutil.copytree(paths.MODEL, champion)
    before = (paths.MODEL / "weights.safetensors").read_bytes()
    with pytest.raises(InputError, match=r"its preset is .* ask for .*; set train.init to scratch"):
        rows.trained(make_params, {"train.init": "champion", "model.preset": "small"})
    with pytest.raises(InputError, match=r"its family is gan, and params\.yaml and the data ask for gan-dense"):
        rows.trained(make_params, {"train.init": "champion", "model.family": "gan-dense", "model.preset": "small"})
    shutil.rmtree(paths.CLEAN)
    rows.fill(classes=("left", "right"))
    with pytest.raises(InputError, match="its spec is"):
        rows.trained(make_params, {"train.init": "champion"})
    assert (paths.MODEL / "weights.safetensors").read_bytes() == before


def test_a_champion_without_its_training_s_state_is_said(champion: Path, make_params: Any) -> None:
    rows.fill()
    rows.trained(make_params)
    shutil.copytree(paths.MODEL, champion)
    state = champion / warm_start.STATE
    whole = state.read_bytes()
    state.write_bytes(whole[:-40])
    with pytest.raises(InputError, match="cannot be read"):
        rows.trained(make_params, {"train.init": "champion"})
    state.unlink()
    with pytest.raises(InputError, match="registered without the state of its training"):
        rows.trained(make_params, {"train.init": "champion"})
