"""What the registry says of its versions."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import mlflow
import pytest

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.registry import store_file
from pipelines.registry.client import Registry
from pipelines.registry.store_file import UnknownStoreError
from pipelines.registry.versions import CHALLENGER, CHAMPION, FEEDBACK, KEY, NoVersionError, VersionBatches
from tests.conftest import MakeParams, project_in


def test_of_every_version_it_is_known_which_folds_it_has_learned_from(project: Project, make_params: MakeParams) -> None:
    registry = Registry.open(project, make_params().registry)
    assert registry.training_batches() == {}
    assert not (project.root / "mlflow.db").exists()  # asking made none
    client = registry.client
    assert registry.training_batches() == {}
    client.create_registered_model(registry.name)
    for about in (None, {"batches": [], "events": 0}, {"batches": ["x", "y"]}):
        run = client.create_run(registry.experiment()).info.run_id
        if about is not None:
            client.log_dict(run, about, FEEDBACK)
        client.create_model_version(registry.name, f"{project.root}/mlruns", run)
    client.create_model_version(registry.name, f"{project.root}/mlruns")
    client.create_model_version(registry.name, f"{project.root}/mlruns", "0" * 32)  # of a run that was deleted
    for alias, version in (("champion", "3"), ("mine", "3"), ("challenger", "1")):
        client.set_registered_model_alias(registry.name, alias, version)
    assert registry.training_batches() == {
        1: VersionBatches([], ["challenger"]),
        2: VersionBatches([], []),
        3: VersionBatches(["x", "y"], ["champion", "mine"]),
        4: VersionBatches([], []),
        5: VersionBatches([], []),
    }


def test_a_registry_that_does_not_answer_is_said(
    project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    down = project.with_variables({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    with pytest.raises(GenloopError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        Registry.open(down, make_params().registry).training_batches()


def test_two_projects_in_one_process_do_not_see_each_other(
    elsewhere: Path, tmp_path: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does anybody else in the process see which of them MLflow was last asked for."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{elsewhere}/users.db")
    mlflow.set_tracking_uri(f"sqlite:///{elsewhere}/users.db")  # whatever the tests before this one have left
    registries = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        registries.append(Registry.open(project_in(tmp_path / name), make_params().registry))
    for registry in registries:
        registry.client.create_registered_model(registry.name)
    for versions, registry in enumerate(registries, start=1):
        for _ in range(versions):
            with registry.fluent(), mlflow.start_run(experiment_id=registry.experiment()) as run:
                mlflow.log_metric("fid", versions)
                mlflow.log_dict({"batches": [registry.project.root.name]}, FEEDBACK)
            folder = registry.project.root / "mlruns"
            made = registry.client.create_model_version(registry.name, str(folder), run.info.run_id)
            registry.tag(int(made.version), {KEY: registry.project.root.name})
        registry.set_alias(CHAMPION, versions)
    first, second = registries
    assert (first.numbers(), second.numbers()) == ([1], [1, 2])
    assert (first.alias(CHAMPION), second.alias(CHAMPION)) == (1, 2)
    assert first.training_batches() == {1: VersionBatches(["a"], [CHAMPION])}
    assert second.training_batches() == {1: VersionBatches(["b"], []), 2: VersionBatches(["b"], [CHAMPION])}
    assert (first.version(1).metrics, second.version(2).metrics) == ({"fid": 1.0}, {"fid": 2.0})
    assert (first.find("a"), first.find("b"), second.find("a"), second.find("b") is None) == (1, None, None, False)
    for registry in registries:
        (copied,) = [registry.artifact(registry.version(1), FEEDBACK, elsewhere)]
        assert copied is not None
        assert registry.project.root.name in copied.read_text()
        assert list((registry.project.root / "mlruns").iterdir())
    assert mlflow.get_tracking_uri() == os.environ["MLFLOW_TRACKING_URI"] == f"sqlite:///{elsewhere}/users.db"
    assert list(elsewhere.iterdir()) == [elsewhere / FEEDBACK]


def test_aliases_point_to_versions_and_to_nothing_else(registry: Registry) -> None:
    assert (registry.alias(CHAMPION), registry.aliases_of(2)) == (None, [])
    registry.set_alias(CHAMPION, 2)
    registry.set_alias(CHALLENGER, 2)
    assert registry.aliases_of(2) == [CHAMPION, CHALLENGER]
    registry.set_alias(CHALLENGER, None)
    assert registry.aliases() == {CHAMPION: 2}
    assert (registry.has(9), registry.has(10)) == (True, False)
    with pytest.raises(NoVersionError, match="has no version 10; its versions: 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        registry.version(10)


def test_the_clients_of_one_registry_are_one(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    client = mlflow.MlflowClient
    monkeypatch.setattr(mlflow, "MlflowClient", lambda *arguments: opened.append(1) or client(*arguments))
    for _ in range(3):
        registry.set_alias(CHAMPION, 1)
        registry.versions()
        registry.training_batches()
    assert opened == [1]


def test_what_the_file_of_a_store_says_is_what_mlflow_says(registry: Registry) -> None:
    """It is read without MLflow. A test that fails here after an upgrade says that MLflow's tables have changed."""
    client = registry.client
    experiment = registry.experiment()
    for number in (2, 3):
        run = client.create_run(experiment)
        client.log_metric(run.info.run_id, "fid", 3.5, step=1)
        client.log_metric(run.info.run_id, "fid", 2.5, step=2)
        client.log_metric(run.info.run_id, "kid", float("nan"))
        client.log_param(run.info.run_id, "train.steps", "700")
        made = client.create_model_version(registry.name, f"{registry.project.root}/mlruns", run.info.run_id)
        registry.tag(int(made.version), {KEY: f"made of {number}", "genloop.generation": "2"})
    client.create_registered_model("another")
    client.set_registered_model_alias(registry.name, CHAMPION, "10")
    client.delete_model_version(registry.name, "4")

    def answers(asked: Registry) -> list[object]:
        versions = [asked.version(number) for number in (1, 10, 11)]
        return [asked.aliases(), asked.numbers(), asked.find("made of 3"), asked.find("nothing"), repr(versions)]

    fresh = Registry(registry.project, registry.name, registry.experiment_name)
    read = answers(fresh)
    assert "client" not in vars(fresh)  # MLflow was not asked
    assert read == answers(registry)
    with pytest.raises(NoVersionError, match="has no version 4"):
        fresh.version(4)


def test_a_store_that_looks_otherwise_is_left_to_mlflow(registry: Registry) -> None:
    registry.set_alias(CHAMPION, 2)
    with sqlite3.connect(registry.project.root / "mlflow.db") as database:
        database.execute("ALTER TABLE registered_model_aliases RENAME COLUMN workspace TO room")
    fresh = Registry(registry.project, registry.name, registry.experiment_name)
    with pytest.raises(UnknownStoreError):
        fresh._read(lambda database: store_file.aliases(database, fresh.name))
