"""MLflow on PostgreSQL with artifacts in a bucket, used directly and through its server: nothing lies on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from commands import doctor
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.registry import publish, sampler
from pipelines.registry.client import Registry
from pipelines.registry.publish import Publication
from pipelines.registry.versions import CHALLENGER, CHAMPION
from pipelines.settings.schema import Params
from tests.conftest import MakeParams
from tests.services.conftest import keys
from tests.support import flat_model, servers

DIRECT, SERVER = "PostgreSQL itself", "a server of MLflow"


@pytest.fixture
def params(make_params: MakeParams) -> Params:
    return make_params()


def publish_flat(params: Params, registry: Registry, key: str, folder: Path) -> int:
    """A version whose model is a few lines, published as `register` publishes one."""
    folder.mkdir(exist_ok=True)
    (folder / "feedback.json").write_text(json.dumps({"batches": [key]}))
    return publish.log_and_register(params, registry, Publication(key, {"fid": 1.5}, {}, folder))


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    """`publish` takes the flat model for the project's."""
    import mlflow

    flat_model.write(project.model, flat_model.CLASSES)

    def log_model(weights: Path, name: str) -> object:
        return mlflow.pyfunc.log_model(name="model", **flat_model.as_published(project.model))

    class Same:
        conditional, deterministic = False, True

        def close(self) -> None:
            pass

        def draw(self, seeds: np.ndarray, labels: object) -> np.ndarray:
            grey = (seeds % 10 + 90).astype(np.uint8)
            return np.ascontiguousarray(np.broadcast_to(grey[:, None, None, None], (len(grey), 4, 4, 1)))

    monkeypatch.setattr(publish, "log_model", log_model)
    monkeypatch.setattr(sampler, "load", lambda _: Same())


@pytest.mark.slow
@pytest.mark.parametrize("way", [DIRECT, SERVER])
def test_versions_live_in_the_database_and_in_the_bucket_alone(
    way: str,
    project: Project,
    params: Params,
    database: Callable[[], str],
    s3: dict[str, str],
    bucket: str,
    flat: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    url, root = database(), f"s3://{bucket}/models"
    variables = {**s3, "MLFLOW_TRACKING_URI": url, "MLFLOW_DEFAULT_ARTIFACT_ROOT": root}
    if way == DIRECT:
        live_with(project.with_variables(variables), params, bucket, root, tmp_path_factory.mktemp("run"))
        return
    store = project.with_variables(variables).tracking_uri
    options = ["--backend-store-uri", store, "--default-artifact-root", root, "--no-serve-artifacts"]
    with servers.mlflow(tmp_path_factory.mktemp("server"), dict(project.with_variables(s3).environment), *options) as server:
        live_with(project.with_variables({**s3, "MLFLOW_TRACKING_URI": server}), params, bucket, root, project.root / "run")


def live_with(project: Project, params: Params, bucket: str, root: str, folder: Path) -> None:
    registry = Registry.open(project, params.registry)
    assert [publish_flat(params, registry, key, folder) for key in ("a", "b")] == [1, 2]
    assert len([key for key in keys(bucket, "models/") if key.endswith("MLmodel")]) == 2
    assert not list(project.root.rglob("mlruns"))
    again = Registry.open(project, params.registry)  # as another machine has it
    assert again.aliases() == {CHAMPION: 1, CHALLENGER: 2}
    assert again.load().draw(np.arange(3), None).max() == 92
    assert again.description(2)["classes"] == flat_model.CLASSES
    assert {number: batches.batches for number, batches in again.training_batches().items()} == {1: ["a"], 2: ["b"]}
    assert again.fetch(project.root / "fetched") == 1
    assert (project.root / "fetched/model.json").is_file()
    assert again.find("b") == 2
    found = again.artifact(again.version(2), "feedback.json", project.root)
    assert found is not None
    location = again.client.get_experiment_by_name(params.registry.experiment).artifact_location
    assert str(location).startswith(root)
    assert again.check_artifacts() == f"{location} answers"
    lose(bucket, again)


def lose(bucket: str, registry: Registry) -> None:
    """A version's files are deleted, and then the whole bucket."""
    import boto3

    store = boto3.session.Session().client("s3")
    place = registry.client.get_model_version_download_uri(registry.name, "2")
    for key in keys(bucket, place.removeprefix(f"s3://{bucket}/")):
        store.delete_object(Bucket=bucket, Key=key)
    for ask in (registry.load, registry.description):
        with pytest.raises(
            GenloopError, match=r"^version 2 of .* is registered, but its files are missing: expected them in s3:"
        ):
            ask(2)
    for key in keys(bucket):
        store.delete_object(Bucket=bucket, Key=key)
    store.delete_bucket(Bucket=bucket)
    words = rf"s3://{bucket}\S+ http\S+ has no bucket '{bucket}'"
    registry = Registry(registry.project, registry.name, registry.experiment_name)
    for attempt in (lambda: registry.load(1), registry.training_batches, registry.check_artifacts):
        with pytest.raises(InputError, match=words):
            attempt()


@pytest.mark.slow
def test_doctor_says_where_runs_and_artifacts_go_without_a_password(
    project: Project, database: Callable[[], str], s3: dict[str, str], bucket: str, make_params: MakeParams, tmp_path: Path
) -> None:
    import shutil

    from tests.conftest import REPOSITORY

    shutil.copy(REPOSITORY / "params.yaml", project.root)
    url, root = database(), f"s3://{bucket}/models"
    own = project.with_variables({**s3, "MLFLOW_TRACKING_URI": url, "GENLOOP_DATABASE_URL": url})
    there = own.with_variables({"MLFLOW_DEFAULT_ARTIFACT_ROOT": root})
    assert doctor.artifacts(there) == ("ok", f"{root} answers")
    Registry.open(there, make_params().registry).experiment()
    assert doctor.artifacts(own) == ("ok", f"{root} answers")
    moved = doctor.artifacts(own.with_variables({"MLFLOW_DEFAULT_ARTIFACT_ROOT": f"s3://{bucket}/other"}))
    assert moved[0] == "warn"
    assert "set registry.experiment to a new name" in moved[1]
    found = [check(there)[1] for check in (doctor.registry, doctor.database, doctor.artifacts)]
    assert "127.0.0.1" in found[0]
    assert "127.0.0.1" in found[1]
    assert servers.PASSWORD not in " ".join(found)
    assert "theirs" not in " ".join(found)
    gone = own.with_variables({"MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://nowhere/x", "MLFLOW_TRACKING_URI": database()})
    finding = doctor.finding_of(gone, "artifacts", lambda: doctor.artifacts(gone))
    assert (finding.state, "has no bucket 'nowhere'" in finding.words) == ("fail", True), finding
    assert finding.words.startswith("MLFLOW_DEFAULT_ARTIFACT_ROOT: ")


def test_a_project_of_its_own_keeps_artifacts_beside_its_store_or_where_it_is_told(project: Project, params: Params) -> None:
    registry = Registry.open(project, params.registry)
    assert registry.artifact_root == (project.root / "mlruns").as_uri()
    told = Registry.open(project.with_variables({"MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://b/x"}), params.registry)
    assert told.artifact_root == "s3://b/x"
    served = project.with_variables({"MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://b/x", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    assert Registry.open(served, params.registry).artifact_root is None
