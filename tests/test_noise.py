"""noise: further trainings in folders of their own, what of a run that was cut off is used again, and what is written down."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines import noise
from pipelines.core import paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.promotion import noise_floor as floor
from pipelines.scoring import scores
from pipelines.settings.load import load_params
from pipelines.settings.overlay import update_params
from pipelines.settings.schema import Params
from tests.conftest import REPOSITORY


@pytest.fixture
def settings(project: Path) -> Params:
    """A project with data that nobody can train on, and its settings."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project)
    for folder in noise.SEEN:
        folder.mkdir(parents=True)
        (folder / "part").write_text(folder.name)
    return update_params([], ["promotion.noise=3", "train.seed=5", "evaluate.metrics=[fid]"])


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stages that do as if; `ends` says how, `calls` what was run where."""
    kept = SimpleNamespace(calls=[], ends=lambda name, seed: 0)

    def run(command: list[str], cwd: Path, **_: Any) -> SimpleNamespace:
        name = command[-1].removeprefix("pipelines.")
        there = load_params(cwd / paths.PARAMS)
        kept.calls.append((name, there.train.seed))
        code = kept.ends(name, there.train.seed)
        if name == "evaluate" and code == 0:
            (cwd / noise.DONE).write_text("{}")
            (cwd / noise.ESTIMATES).write_text(str(there.train.seed))
        return SimpleNamespace(returncode=code)

    def read(path: Path) -> SimpleNamespace:
        value = float(path.read_text()) - noise.FIRST
        return SimpleNamespace(benchmark_id="b", samples=9, values={"fid": SimpleNamespace(value=value, corrected=value / 2)})

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(scores, "read", read)
    return kept


def seeds(calls: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return [(name, seed - noise.FIRST) for name, seed in calls]


def test_each_training_has_a_seed_of_its_own_and_the_gate_reads_what_came_of_it(params: Params, ran: Any) -> None:
    noise.run(params)
    assert seeds(ran.calls) == [(name, seed) for seed in range(3) for name in ("train", "evaluate")]
    found = floor.read()
    assert found is not None
    assert found.benchmark_id == "b"
    assert found.trainings == [{"fid": 0.0}, {"fid": 0.5}, {"fid": 1.0}]
    assert found.floor("fid") == pytest.approx(2.92 * 2**0.5 * 0.5, rel=1e-3)
    assert not list(paths.CHECKPOINTS.glob("noise-*"))


def test_a_training_sees_the_project_s_data_and_settings_but_for_the_seed(params: Params, project: Path) -> None:
    folder = Path("checkpoints/noise-x/seed-7")
    noise.prepare(folder, 7)
    there = load_params(folder / paths.PARAMS)
    assert there.train.seed == 7
    assert {"fid", "approval", "path_length"} <= set(there.evaluate.metrics)  # rules may come to ask for any
    same = {"train": {"seed", "preview_every"}, "evaluate": {"metrics"}}
    assert there.model_dump(exclude=same) == params.model_dump(exclude=same)
    for path in noise.SEEN:
        assert (folder / path / "part").read_text() == path.name
    (folder / paths.REPORTS / "metrics.json").write_text("{}")
    assert not (project / paths.REPORTS).exists()
    noise.prepare(folder, 7)  # once more, as after a kill


def test_what_was_cut_off_goes_on_and_what_is_another_configuration_does_not(params: Params, ran: Any) -> None:
    def killed(name: str, seed: int) -> int:
        if (name, seed) == ("train", noise.FIRST + 2):
            raise KeyboardInterrupt
        return 0

    ran.ends = killed
    with pytest.raises(KeyboardInterrupt):
        noise.run(params)
    ran.calls.clear()
    ran.ends = lambda name, seed: 0
    noise.run(params)
    assert seeds(ran.calls) == [("train", 2), ("evaluate", 2)]

    ran.ends = killed
    with pytest.raises(KeyboardInterrupt):
        noise.run(params)
    (paths.CLEAN / "part").write_text("other rows")
    ran.calls.clear()
    ran.ends = lambda name, seed: 0
    noise.run(params)
    assert len(ran.calls) == 6


def test_another_seed_takes_the_place_of_a_training_that_comes_to_nothing(
    params: Params, ran: Any, capfd: pytest.CaptureFixture
) -> None:
    ran.ends = lambda name, seed: int((name, seed) == ("train", noise.FIRST + 1))
    noise.run(params)
    found = json.loads(paths.NOISE.read_text())
    assert [one["seed"] - noise.FIRST for one in found["trainings"]] == [0, 2, 3]
    assert "another seed takes its place" in capfd.readouterr().err


def test_a_configuration_that_never_trains_is_said_with_what_to_do(params: Params, ran: Any) -> None:
    ran.ends = lambda name, seed: 1
    with pytest.raises(GenloopError, match=r"of 6 trainings .* 0 came to an end, expected 3.*promotion.noise: 0"):
        noise.run(params)
    assert not paths.NOISE.exists()


def test_unusable_input_stops_at_once(params: Params, ran: Any) -> None:
    ran.ends = lambda name, seed: 2
    with pytest.raises(InputError, match="train found something unusable"):
        noise.run(params)
    assert len(ran.calls) == 1


def test_no_training_asked_for_is_said(params: Params, ran: Any) -> None:
    with pytest.raises(InputError, match="nothing to measure"):
        noise.run(update_params([], ["promotion.noise=0"]))
