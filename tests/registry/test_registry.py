"""What the registry says of its versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.registry import client
from pipelines.registry.client import Learned
from tests.conftest import MakeParams


def test_of_every_version_it_is_known_which_folds_it_has_learned_from(project: Path, make_params: MakeParams) -> None:
    params = make_params()
    name = params.registry.model
    assert client.learned(params) == {}
    assert not Path("mlflow.db").exists()  # asking made none
    registry = client.client()
    assert client.learned(params) == {}
    registry.create_registered_model(name)
    for said in (None, {"batches": [], "events": 0}, {"batches": ["x", "y"]}):
        run = registry.create_run(client.experiment_id(registry, "test")).info.run_id
        if said is not None:
            registry.log_dict(run, said, client.FEEDBACK)
        registry.create_model_version(name, f"{project}/mlruns", run)
    registry.create_model_version(name, f"{project}/mlruns")
    registry.create_model_version(name, f"{project}/mlruns", "0" * 32)  # of a run that was deleted
    for alias, version in (("champion", "3"), ("mine", "3"), ("challenger", "1")):
        registry.set_registered_model_alias(name, alias, version)
    assert client.learned(params) == {
        1: Learned([], ["challenger"]),
        2: Learned([], []),
        3: Learned(["x", "y"], ["champion", "mine"]),
        4: Learned([], []),
        5: Learned([], []),
    }


def test_a_registry_that_does_not_answer_is_said(
    project: Path, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(client.GenloopError, match=r"MLflow at http://127\.0\.0\.1:9 does not answer"):
        client.learned(make_params())
