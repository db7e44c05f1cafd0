"""noise: further trainings in projects of their own; a run that was cut off is used again; what is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from pipelines import noise
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.metrics.intervals import Estimate
from pipelines.scoring import generated, noise_floor, scores
from pipelines.scoring.generated import GeneratedSamples
from pipelines.scoring.scores import Scores
from pipelines.settings.load import load_params, update_params
from pipelines.settings.schema import Params
from tests.conftest import REPOSITORY


@pytest.fixture
def params(project: Project) -> Params:
    """The settings of a project whose data cannot be trained on."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    for folder in noise.inputs(project):
        folder.mkdir(parents=True)
        (folder / "part").write_text(folder.name)
    settings = ["promotion.noise=3", "train.seed=5", "evaluate.metrics=[fid]"]
    return update_params(project.params_file, settings=settings)


@dataclass
class FakeStages:
    """Stages that only write scores. code: exit code by name and seed. calls: stages that were run, and their seeds."""

    code: Callable[[str, int], int] = lambda name, seed: 0
    calls: list[tuple[str, int]] = field(default_factory=list)

    def __call__(self, project: Project, name: str) -> int:
        seed = load_params(project.params_file).train.seed
        self.calls.append((name, seed - noise.FIRST_SEED))
        code = self.code(name, seed - noise.FIRST_SEED)
        if name == "evaluate" and code == 0:
            value = float(seed - noise.FIRST_SEED)
            fid = Estimate(value, value / 2, np.zeros(2), np.zeros(0), np.zeros((3, 0)))
            scores.write(project.reports / "estimates.npz", Scores("b", 9, {"fid": fid}))
            vectors = np.full((9, 4), value, np.float32)
            samples = GeneratedSamples("b", 0, Features(vectors, None), vectors, None, None)
            generated.write(project.reports / generated.NAME, samples)
            (project.reports / "metrics.json").write_text("{}")
        return code


@pytest.fixture
def stages() -> FakeStages:
    return FakeStages()


def test_each_training_has_a_seed_of_its_own_and_the_gate_reads_what_came_of_it(
    project: Project, params: Params, stages: FakeStages
) -> None:
    noise.measure(project, params, stages)
    assert stages.calls == [(name, seed) for seed in range(3) for name in ("train", "evaluate")]
    found = noise_floor.read(project.noise_floor)
    assert found is not None
    assert found.benchmark_id == "b"
    assert found.trainings == [{"fid": 0.0}, {"fid": 0.5}, {"fid": 1.0}]
    assert found.floor("fid") == pytest.approx(2.92 * 2**0.5 * 0.5, rel=1e-3)
    assert not list(project.checkpoints.glob("noise-*"))
    samples = noise_floor.read_samples(project, found)
    assert samples is not None
    assert [float(one.features.vectors[0, 0]) for one in samples] == [0.0, 1.0, 2.0]


def test_a_training_sees_the_project_s_data_and_settings_but_for_the_seed(params: Params, project: Project) -> None:
    trial = noise.seed_project(project, project.checkpoints / "noise-x/seed-7")
    noise.prepare(project, trial, 7)
    found = load_params(trial.params_file)
    assert found.train.seed == 7
    assert {"fid", "approval", "path_length"} <= set(found.evaluate.metrics)  # rules may come to ask for any
    same = {"train": {"seed", "preview_every"}, "evaluate": {"metrics"}}
    assert found.model_dump(exclude=same) == params.model_dump(exclude=same)
    for path in noise.inputs(trial):
        assert (path / "part").read_text() == path.name
    assert trial.tracking_uri == project.tracking_uri
    (trial.reports / "metrics.json").write_text("{}")
    assert not project.reports.exists()
    noise.prepare(project, trial, 7)  # once more, as after a kill


def test_what_was_cut_off_goes_on_and_what_is_another_configuration_does_not(
    project: Project, params: Params, stages: FakeStages
) -> None:
    def killed(name: str, seed: int) -> int:
        if (name, seed) == ("train", 2):
            raise KeyboardInterrupt
        return 0

    stages.code = killed
    with pytest.raises(KeyboardInterrupt):
        noise.measure(project, params, stages)
    stages.calls.clear()
    stages.code = lambda name, seed: 0
    noise.measure(project, params, stages)
    assert stages.calls == [("train", 2), ("evaluate", 2)]

    stages.code = killed
    with pytest.raises(KeyboardInterrupt):
        noise.measure(project, params, stages)
    (project.clean / "part").write_text("other rows")
    stages.calls.clear()
    stages.code = lambda name, seed: 0
    noise.measure(project, params, stages)
    assert len(stages.calls) == 6


def test_another_seed_takes_the_place_of_a_training_that_comes_to_nothing(
    project: Project, params: Params, stages: FakeStages, capfd: pytest.CaptureFixture
) -> None:
    stages.code = lambda name, seed: int((name, seed) == ("train", 1))
    noise.measure(project, params, stages)
    found = json.loads(project.noise_floor.read_text())
    assert [one["seed"] - noise.FIRST_SEED for one in found["trainings"]] == [0, 2, 3]
    assert "another seed takes its place" in capfd.readouterr().err


def test_a_configuration_that_never_trains_is_said_with_what_to_do(
    project: Project, params: Params, stages: FakeStages
) -> None:
    stages.code = lambda name, seed: 1
    with pytest.raises(GenloopError, match=r"of 6 trainings .* 0 came to an end, expected 3.*promotion.noise: 0"):
        noise.measure(project, params, stages)
    assert not project.noise_floor.exists()


def test_unusable_input_stops_at_once(project: Project, params: Params, stages: FakeStages) -> None:
    stages.code = lambda name, seed: 2
    with pytest.raises(InputError, match="train cannot use its input"):
        noise.measure(project, params, stages)
    assert len(stages.calls) == 1


def test_no_training_asked_for_is_said(project: Project, params: Params, stages: FakeStages) -> None:
    none = update_params(project.params_file, settings=["promotion.noise=0"])
    with pytest.raises(InputError, match="nothing to measure"):
        noise.measure(project, none, stages)
