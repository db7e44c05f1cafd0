"""While the flow `feedback` trains, params.yaml says that training goes on from the champion; afterwards it is what it was."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from operations import further_training
from pipelines.core.project import Project
from pipelines.settings.load import load_params, update_params
from tests.conftest import REPOSITORY
from tests.external import folders
from tests.support.fake_registry import FakeRegistry


@pytest.fixture
def written(project: Project) -> Project:
    """A project with settings."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    return project


def stored(project: Project) -> tuple[Any, int]:
    train = load_params(project.params_file).train
    return train.init, train.steps


def enter(project: Project, registry: Any = None) -> Any:
    return further_training.settings(project, load_params(project.params_file), registry or FakeRegistry())


def test_params_yaml_says_what_is_done_and_is_the_same_file_afterwards(written: Project) -> None:
    # Written as no editor of ours would write it.
    text = written.params_file.read_text().replace("  min_events: 500 ", "  min_events:   500   ")
    written.params_file.write_text(text)
    with enter(written) as params:
        assert (params.train.init, params.train.steps) == stored(written) == ("champion", 500)
    assert written.params_file.read_text() == text


def test_a_failed_training_leaves_the_file_as_it_was(written: Project) -> None:
    before = written.params_file.read_bytes()
    with pytest.raises(RuntimeError), enter(written):
        raise RuntimeError
    assert written.params_file.read_bytes() == before
    assert not further_training.backup(written).exists()


def test_an_external_model_beside_params_yaml_is_found(written: Project) -> None:
    folders.write(written.root / "mine")
    settings = ["sources=[{type: digits}]", "model.family=external", "model.preset=small", "model.external=mine"]
    update_params(written.params_file, settings=settings)
    before = written.params_file.read_bytes()
    with enter(written):
        pass
    assert written.params_file.read_bytes() == before
    assert not further_training.backup(written).exists()


def test_what_a_killed_run_has_left_is_undone_once(written: Project) -> None:
    before = written.params_file.read_bytes()
    context = enter(written)
    context.__enter__()
    assert stored(written) == ("champion", 500)
    further_training.restore(written)
    assert written.params_file.read_bytes() == before
    update_params(written.params_file, settings=["train.init=champion", "train.steps=500"])
    further_training.restore(written)
    assert stored(written) == ("champion", 500)


def test_what_somebody_changes_meanwhile_stays(written: Project) -> None:
    with enter(written):
        update_params(written.params_file, settings=["evaluate.samples=77"])
    params = load_params(written.params_file)
    assert (params.train.init, params.train.steps, params.evaluate.samples) == ("scratch", 2000, 77)
    with enter(written):
        update_params(written.params_file, settings=["train.steps=9"])
    assert stored(written) == ("champion", 9)


@pytest.mark.parametrize(
    ("settings", "champion", "tags"),
    [
        (["feedback.steps=null"], 2, {}),
        ([], None, {}),
        ([], 2, {"model.preset": "base"}),
    ],
)
def test_it_trains_as_the_settings_say_where_nothing_can_be_gone_on_from(
    written: Project, monkeypatch: pytest.MonkeyPatch, settings: list[str], champion: int | None, tags: dict[str, str]
) -> None:
    update_params(written.params_file, settings=settings)
    registry = FakeRegistry(champion=champion)
    version = registry.version(2)
    monkeypatch.setattr(registry, "version", lambda number: type(version)(**{**vars(version), "settings": tags}))
    with enter(written, registry) as params:
        assert (params.train.init, params.train.steps) == stored(written) == ("scratch", 2000)
