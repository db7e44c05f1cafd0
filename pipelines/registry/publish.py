"""Registers a trained model as a version: a run with everything that made it, the model as code and weights, and an alias."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.core.errors import GenloopError
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.registry import sampler
from pipelines.registry.client import Registry, flatten
from pipelines.registry.versions import CHALLENGER, CHAMPION, KEY, TRIED
from pipelines.settings.schema import Params

CODE = Path(__file__).resolve().parents[1] / "models"  # the families, which travel with each version


@dataclass(frozen=True)
class TrainingCurves:
    """values: step -> losses and the like by name. grids: step -> PNG of images generated then."""

    values: dict[int, dict[str, float]]
    grids: dict[int, Path]


@dataclass(frozen=True)
class Publication:
    """What a version is published with.

    key: what it was made of. artifacts: a folder; what lies in it the run keeps. description: of the version, Markdown, at most
    5,000 characters. fit: whether it may become champion where there is no version before it. curves: of the training; the
    run's page shows them, and its grids with a slider.
    """

    key: str
    metrics: dict[str, float]
    tags: dict[str, str]
    artifacts: Path
    description: str = ""
    fit: bool = True
    curves: TrainingCurves | None = None


def log_and_register(params: Params, registry: Registry, publication: Publication) -> int:
    """The project's model as a new version that was loaded back and has generated the same images.

    The first version becomes champion if it is fit, any other one challenger.

    Raises:
        GenloopError: MLflow failed, or the version does not load or generates other images. No alias has moved then.
    """
    client, name = registry.client, registry.name
    import mlflow

    with registry.lock(), registry.mlflow_errors():
        experiment = registry.experiment()
    registry.check_artifacts()
    with registry.mlflow_errors(), registry.fluent(), mlflow.start_run(experiment_id=experiment) as run:
        mlflow.set_tags(publication.tags)
        mlflow.log_params(flatten(params.model_dump(mode="json", by_alias=True)))
        mlflow.log_metrics(publication.metrics)
        mlflow.log_artifacts(str(publication.artifacts))
        if publication.curves:
            log_curves(publication.curves)
        model = log_model(registry.project.model, name)
        smoke_test(registry, model.model_uri)
        with registry.lock():
            if not client.search_registered_models(f"name = '{name}'"):
                client.create_registered_model(name)
            first = not registry.numbers()
            tags = {KEY: publication.key, "genloop.run_id": run.info.run_id, **publication.tags}
            with contextlib.redirect_stderr(io.StringIO()):  # it prints what the stage says in its own words
                version = int(mlflow.register_model(model.model_uri, name, tags=tags).version)
            client.update_model_version(name, str(version), publication.description)
            client.set_registered_model_alias(name, CHAMPION if first and publication.fit else CHALLENGER, str(version))
    return version


def log_curves(curves: TrainingCurves) -> None:
    import mlflow
    from PIL import Image

    for step, values in curves.values.items():
        mlflow.log_metrics({f"train/{name}": value for name, value in values.items()}, step=step)
    for step, path in curves.grids.items():
        with Image.open(path) as grid:
            mlflow.log_image(grid, key="samples", step=step)


def log_model(weights: Path, name: str) -> Any:
    """A trained model's folder with the code of its families, as a model that MLflow builds from code."""
    import mlflow

    from pipelines.models import base

    with TemporaryFolder() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(temporary) / "model"
        shutil.copytree(weights, folder)
        shutil.copytree(CODE, folder / "code", ignore=shutil.ignore_patterns("__pycache__"))
        for path in folder.glob("*.safetensors"):  # which its owner alone may read; a server may be another user
            path.chmod((folder / base.DESCRIPTION).stat().st_mode)
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"model": str(folder)},
            signature=signature(base.describe(weights).spec.shape),
            # Given, not inferred: that would load the model in another process and take ten seconds.
            pip_requirements=[f"{package}=={importlib.metadata.version(package)}" for package in requirements()],
            metadata={"genloop.model": name},
        )


def signature(shape: tuple[int, int, int]) -> Any:
    """What a version takes and gives, with names, types and defaults; MLflow shows it, and checks `params` by it.

    Columns are of any type, and `pyfunc.py` checks what is in them: to a column of whole numbers a server would cast 2.5, true
    and "3" without a word, and it would refuse a label that is a name or is missing.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    defaults = {"count": 1, "seed": 0, "label": None}
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name, required=False) for name in defaults]),
        outputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *shape))]),
        params=ParamSchema([ParamSpec(name, DataType.long, default) for name, default in defaults.items()]),
    )


def requirements() -> list[str]:
    import keras

    return ["keras", keras.backend.backend(), "mlflow", "numpy", "pandas", "safetensors"]


def smoke_test(registry: Registry, model_uri: str) -> None:
    """Load the version as a user would, and compare its images with those of the project's model."""
    registered, trained = registry.load_model(model_uri), sampler.load(registry.project.model)
    seeds = np.arange(TRIED)
    if not np.array_equal(registered.draw(seeds, None), trained.draw(seeds, None)):
        raise GenloopError("the registered model generates other images than the trained one; no version was made of it")
