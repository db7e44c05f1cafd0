"""Versions that somebody else's code samples: registered, drawn anywhere, refused where they are not what they say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operations.rebuild import compare
from pipelines import register
from pipelines.core import images
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback.events import Sample, parse
from pipelines.feedback.sealed import event_images, seal
from pipelines.models import base
from pipelines.models.serve_sampler import relatives
from pipelines.registry import publish, sampler
from pipelines.registry.client import Registry
from pipelines.registry.publish import Publication
from pipelines.registry.samplers import loader
from pipelines.settings.schema import Params
from tests.conftest import VERSIONS, MakeParams, project_in
from tests.support import external_model
from tests.support.external_model import SAMPLER, expected

NUMBER = VERSIONS + 1
SEEDS, LABELS = np.arange(70), (np.arange(70) % 3).astype(np.int32)
ALTERNATING = SAMPLER.replace("return np.stack", "self.shift += 1\n        return np.stack")
BY_BATCH = SAMPLER.replace("for pair in zip(seeds, labels)", "for pair in zip(seeds + len(seeds), labels)")


@pytest.fixture
def params(make_params: MakeParams) -> Params:
    return make_params()


def publication(folder: Path) -> Publication:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text("{}")
    return Publication("key", {"fid": 1.0}, {}, folder)


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Project:
    """A project whose last version is an external model; its environment is `python: env/python` of the model's own folder."""
    from pipelines.settings.load import load_params
    from tests.conftest import REPOSITORY

    project = project_in(tmp_path_factory.mktemp("registered"))
    python = project.root / "examples/external/tiny/env/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    external_model.write(project.model, shift=3, python="env/python", requirements=["numpy", "some-package>=2"])
    (project.model / "external/code").mkdir()
    (project.model / "external/code/more.txt").write_text("more")
    params = load_params(REPOSITORY / "params.yaml")
    registry = Registry.open(project, params.registry)
    shutil.copy(empty_registry, project.root)
    assert publish.log_and_register(params, registry, publication(project.root / "kept")) == NUMBER
    return project


def test_a_version_generates_what_the_model_did(registered: Project, params: Params) -> None:
    version = Registry.open(registered, params.registry).load(NUMBER)
    assert (version.version, version.classes, version.conditional) == (NUMBER, external_model.CLASSES, True)
    assert np.array_equal(version.draw(SEEDS, LABELS), expected(SEEDS, LABELS, 3))
    assert not version.walks
    with pytest.raises(InputError, match="no images between two others: this model's sampler has no `walk`"):
        version.walk(SEEDS, SEEDS, np.zeros(70), LABELS)
    version.close()


BY_LENGTH = SAMPLER.replace("for pair in zip(seeds, labels)", "for pair in zip(seeds, [len(text) % 3 for text in labels])")


def test_a_version_that_takes_prompts_is_asked_by_what_somebody_wrote(
    project: Project, params: Params, empty_registry: Path, tmp_path: Path
) -> None:
    external_model.write(project.model, BY_LENGTH, condition="prompts")
    registry = Registry.open(project, params.registry)
    shutil.copy(empty_registry, project.root)
    publish.log_and_register(params, registry, publication(tmp_path / "kept"))
    version = registry.load(NUMBER)
    prompts = ["a fox", "狐狸", ""] * 20
    lengths = np.array([len(prompt) % 3 for prompt in prompts], np.int32)
    assert version.accepts_prompts
    import mlflow

    served = mlflow.pyfunc.load_model(str(registry._folder(NUMBER)))
    assert np.array_equal(served.predict({"prompt": "狐狸", "seed": 7}), expected(np.array([7]), np.array([2])))
    served.unwrap_python_model().close()
    assert np.array_equal(version.draw_prompts(np.arange(60), prompts), expected(np.arange(60), lengths))
    version.close()

    about = {"version": NUMBER, "seed": 7, "prompt": "a fox"}
    vote = {"id": "v", "type": "vote", "rater": "ann", "at": "2026-01-31T12:00:00Z", "sample": about, "value": 1}
    project.feedback.mkdir(parents=True)
    seal.write(project.feedback, "a", [parse(vote)])
    load = loader(registry)
    opened: list[Any] = []
    event_images.complete(project.feedback, project.uploads, lambda number: opened.append(load(number)) or opened[-1])
    (sealed,) = event_images.read(project.feedback, ["a"])
    assert sealed.sample == Sample(**about)
    assert sealed.image is not None
    assert np.array_equal(images.decode_pixels(sealed.image)[None], expected(np.array([7]), np.array([2])))
    for one in opened:
        one.close()


def test_a_version_that_takes_no_prompts_says_so(registered: Project, params: Params) -> None:
    version = Registry.open(registered, params.registry).load(NUMBER)
    assert not version.accepts_prompts
    with pytest.raises(InputError, match="this model takes no prompts"):
        version.draw_prompts(SEEDS, ["a fox"] * len(SEEDS))


def test_its_own_files_are_all_fetched_and_compared(registered: Project, params: Params, tmp_path: Path) -> None:
    fetched = tmp_path / "fetched"
    assert Registry.open(registered, params.registry).fetch(fetched, NUMBER) == NUMBER
    assert (fetched / "external/code/more.txt").is_file()
    assert not (fetched / "code").exists()
    assert compare.compare_weights(fetched, registered.model).equal
    np.save(fetched / "weights/shift.npy", np.array(4))
    assert compare.compare_weights(fetched, registered.model) == compare.WeightsMatch(False, None)


def test_it_generates_without_genloop_and_without_keras(registered: Project, params: Params, tmp_path: Path) -> None:
    registry = Registry.open(registered, params.registry)
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in ("keras", "tensorflow", "safetensors", "pipelines"))
    program = (
        f"import sys\n{blocked}"
        "import mlflow\n"
        f"model = mlflow.pyfunc.load_model('models:/genloop-digits/{NUMBER}')\n"
        "images = model.predict({'count': 3, 'seed': 5, 'label': 'c'})\n"
        "print(images.shape, images.dtype, int(images.sum()))\n"
    )
    environment = {"MLFLOW_TRACKING_URI": registry.uri, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, env=environment, check=True
    )
    wanted = expected(np.arange(5, 8), np.full(3, 2), 3)
    assert done.stdout.split("\n")[0] == f"(3, 8, 8, 1) uint8 {int(wanted.sum())}"
    (requirements,) = (registered.root / "mlruns").rglob("requirements.txt")
    lines = requirements.read_text().split()
    assert [line.partition("==")[0] for line in lines[:2]] == ["mlflow", "pandas"]
    assert lines[2:] == ["numpy", "some-package>=2"]


def test_on_a_machine_without_its_environment_it_says_what_to_set(registered: Project, params: Params) -> None:
    moved = registered.root / "examples/moved"
    (registered.root / "examples/external").rename(moved)
    try:
        with pytest.raises(
            GenloopError, match=r"python: env/python.*with numpy, some-package>=2, and set GENLOOP_EXTERNAL_PYTHON"
        ):
            Registry.open(registered, params.registry).load(NUMBER).draw(SEEDS, LABELS)
    finally:
        moved.rename(registered.root / "examples/external")


@pytest.mark.parametrize(
    ("code", "message"),
    [(ALTERNATING, "generates other images for the same seeds"), (BY_BATCH, "for 3 and 5 at once instead of 8")],
)
def test_one_that_is_not_deterministic_has_to_say_so(
    code: str, message: str, project: Project, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry.open(project, params.registry)
    monkeypatch.setattr(registry, "load_model", lambda uri: sampler.load(project.model))
    external_model.write(project.model, code)
    with pytest.raises(GenloopError, match=f"{message}.*`deterministic: false`"):
        publish.smoke_test(registry, "models:/m")
    external_model.write(project.model, code, deterministic=False)
    publish.smoke_test(registry, "models:/m")
    assert not base.describe(project.model).deterministic


def test_what_is_too_large_or_not_the_trained_one_is_not_registered(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    external_model.write(project.model, limits={"disk_gb": 1e-8})
    with pytest.raises(GenloopError, match=r"more than the 0.0 GiB that its manifest allows"):
        publish.log_model(project.model, "m")
    external_model.write(project.model)
    (project.model / "weights/shift.npy").write_bytes(b"other")
    with pytest.raises(GenloopError, match="has the sha256"):
        publish.log_model(project.model, "m")
    monkeypatch.setattr(publish, "CODE_BYTES", 10)
    with pytest.raises(GenloopError, match="let the training write what is large into its result folder"):
        publish.log_model(project.model, "m")


def test_a_model_is_known_by_all_its_files(project: Project) -> None:
    external_model.write(project.model)
    project.reports.mkdir(parents=True)
    (project.reports / "metrics.json").write_text("{}")
    first = register.identity(project)
    (project.model / "external/__pycache__").mkdir()
    (project.model / "external/__pycache__/sampler.pyc").touch()
    assert register.identity(project) == first
    (project.model / "external/notes.txt").touch()
    assert register.identity(project) != first


def test_a_model_of_keras_is_known_by_what_it_was(project: Project) -> None:
    """Or every version would be registered again."""
    for folder in (project.model, project.reports):
        folder.mkdir(parents=True)
    about = base.Description("gan", "gan", "Gan", {}, base.ImageSpec(8, 1, 0), [])
    (project.model / "model.json").write_text(about.as_text())
    (project.model / "weights.safetensors").write_bytes(b"weights")
    (project.reports / "metrics.json").write_text("{}")
    assert register.identity(project) == "3bb4d41bb9395fcef4b259d04cad19fa"


def test_its_process_ends_when_nobody_has_the_version_any_more(registered: Project, params: Params) -> None:
    """Whoever goes through many versions has one process at a time."""
    registry = Registry.open(registered, params.registry)
    version = registry.load(NUMBER)
    version.draw(SEEDS, LABELS)
    mark = version.model.generator.worker.running.mark
    assert relatives(mark, -1)
    del version
    assert relatives(mark, -1) == []
