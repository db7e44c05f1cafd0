"""The only doorway to MLflow: runs, registered versions, aliases."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from filelock import FileLock

from pipelines.core import paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.schema import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"
KEY = "genloop.key"  # tag of a version: what it was made of, so that the same is never registered twice
GENERATION = "genloop.generation"  # tag of a version: how many models stand between it and real images
FEEDBACK = "feedback.json"  # a run's artifact: which folds the version has learned from
PACKAGES = "packages.json"  # another one: every package that was installed, and its version
WORKSPACE = "workspace"  # and another: a folder of the project's files that a rebuild needs and git may not have as they were
RECEIPT = paths.REPORTS / "register.json"
TRIED = 8  # images drawn with a version before any alias may point to it


class NoVersionError(InputError):
    """The registry answers, knows the model, and has no such version of it."""


def uri() -> str:
    """Where MLflow's stores are; never left to MLflow's default, which depends on the working directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path.cwd() / 'mlflow.db'}"


def local() -> bool:
    return uri().startswith("sqlite:")


def reachable() -> bool:
    """Whether there is a registry to ask: a local one that does not exist yet is not made by asking."""
    return not local() or Path(uri().removeprefix("sqlite:///")).exists()


def client() -> MlflowClient:
    """A client of the configured stores; a local database is made under a lock, for several processes may come first.

    Raises:
        GenloopError: they do not answer.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import logging

        import mlflow

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        mlflow.set_tracking_uri(uri())
        with locked(), asking():  # the first call of each makes its tables
            found = mlflow.MlflowClient()
            found.search_experiments(max_results=1)
            found.search_registered_models(max_results=1)
    return found


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One process at a time on a local store: MLflow's own set-up and its aliases know no locking."""
    if not local():
        yield
        return
    paths.LOGS.mkdir(exist_ok=True)
    with FileLock(paths.LOGS / "mlflow.lock"):
        yield


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """What MLflow raises, in words. A version that is not there is for the caller to say."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise
        first = str(error).splitlines()[0][:300]
        raise GenloopError(f"MLflow at {uri()} does not answer as it should: {first}; see MLFLOW_TRACKING_URI") from None


def find(found: MlflowClient, name: str, key: str) -> Any | None:
    """The version of model `name` that was made of `key`, if there is one."""
    with asking():
        versions = found.search_model_versions(f"name = '{name}' and tags.`{KEY}` = '{key}'")
    return versions[0] if versions else None


def alias_of(found: MlflowClient, name: str, version: int) -> str | None:
    aliases = {alias: int(v) for alias, v in found.get_registered_model(name).aliases.items()}
    return next((alias for alias in (CHAMPION, CHALLENGER) if aliases.get(alias) == version), None)


def log_and_register(
    params: Params,
    key: str,
    metrics: dict[str, float],
    tags: dict[str, str],
    artifacts: Path,
    description: str = "",
    fit: bool = True,
    course: Course | None = None,
) -> int:
    """A run with everything that made the model, and a new version that was loaded back and has drawn the same images.

    The first version becomes champion if it is `fit`, any other one challenger.

    Args:
        artifacts: a folder; what lies in it the run keeps.
        description: of the version, Markdown, at most 5,000 characters.
        course: of the training, which the run's page shows as curves, and as a grid with a slider.

    Raises:
        GenloopError: MLflow failed, or the version does not load or draws something else. No alias has moved then.
    """
    found = client()
    import mlflow

    name = params.registry.model
    with locked(), asking():
        experiment = experiment_id(found, params.registry.experiment)
    with asking(), mlflow.start_run(experiment_id=experiment) as run:
        mlflow.set_tags(tags)
        mlflow.log_params(flat(params.model_dump(mode="json", by_alias=True)))
        mlflow.log_metrics(metrics)
        mlflow.log_artifacts(str(artifacts))
        if course:
            log_course(course)
        model = log_model(name)
        try_out(model.model_uri)
        with locked():
            if not found.search_registered_models(f"name = '{name}'"):
                found.create_registered_model(name)
            first = not found.search_model_versions(f"name = '{name}'")
            tags = {KEY: key, "genloop.run_id": run.info.run_id, **tags}
            with contextlib.redirect_stderr(io.StringIO()):  # it prints what the stage says in its own words
                version = int(mlflow.register_model(model.model_uri, name, tags=tags).version)
            found.update_model_version(name, str(version), description)
            found.set_registered_model_alias(name, CHAMPION if first and fit else CHALLENGER, str(version))
    return version


def log_course(course: Course) -> None:
    import mlflow
    from PIL import Image

    for step, values in course.values.items():
        mlflow.log_metrics({f"train/{name}": value for name, value in values.items()}, step=step)
    for step, path in course.grids.items():
        with Image.open(path) as grid:
            mlflow.log_image(grid, key="samples", step=step)


def experiment_id(found: MlflowClient, name: str) -> str:
    experiment = found.get_experiment_by_name(name)
    if experiment:
        return str(experiment.experiment_id)
    place = (Path.cwd() / "mlruns").as_uri() if local() else None
    return str(found.create_experiment(name, artifact_location=place))


def log_model(name: str) -> Any:
    """data/model with the code of its families, as a model that MLflow builds from code."""
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec

    draws = Schema(
        [ColSpec(DataType.long, "count"), ColSpec(DataType.long, "seed"), ColSpec(DataType.long, "label", required=False)]
    )
    images = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, -1, -1))])
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(temporary) / "model"
        shutil.copytree(paths.MODEL, folder)
        code = Path(__file__).resolve().parents[1] / "models"
        shutil.copytree(code, folder / "code", ignore=shutil.ignore_patterns("__pycache__"))
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("registered.py")),
            artifacts={"model": str(folder)},
            signature=ModelSignature(inputs=draws, outputs=images),
            # Given, not inferred: that would load the model in another process and take ten seconds.
            pip_requirements=[f"{p}=={importlib.metadata.version(p)}" for p in requirements()],
            metadata={"genloop.model": name},
        )


def requirements() -> list[str]:
    import keras

    return ["keras", keras.backend.backend(), "mlflow", "numpy", "pandas", "safetensors"]


def try_out(model_uri: str) -> None:
    """Load the version as any user would, and compare what it draws with what the workspace's model draws."""
    from pipelines.registry import sampler

    registered, made = load_uri(model_uri), sampler.load(paths.MODEL)
    seeds = np.arange(TRIED)
    if not np.array_equal(registered.draw(seeds, None), made.draw(seeds, None)):
        raise GenloopError("the registered model draws other images than the trained one; no version was made of it")


def load_uri(model_uri: str) -> Any:
    """The version's own drawer (`pipelines/registry/pyfunc.py` as it was): draw, classes, conditional."""
    from pipelines.core import backend

    backend.load()
    client()
    import mlflow

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return mlflow.pyfunc.load_model(model_uri).unwrap_python_model()


def load(params: Params, version: int | None = None) -> Any:
    """The champion, or another version, ready to draw; `version` tells which it is.

    Raises:
        InputError: there is none such.
    """
    name = params.registry.model
    nothing = InputError(f"no registered model {name!r} at {uri()}; `genloop run` makes one")
    if not reachable():
        raise nothing
    found = client()
    versions = there(found, name)
    if versions == "none":
        raise nothing
    if version is None:
        version = holder(params, CHAMPION)
        if version is None:
            raise NoVersionError(
                f"{name!r} has no champion; its versions: {versions}; `genloop promote` lets the gate judge one"
            )
    from mlflow.exceptions import MlflowException

    try:
        with asking():
            found.get_model_version(name, str(version))
    except MlflowException:
        raise NoVersionError(f"{name!r} has no version {version}; its versions: {versions}") from None
    drawer = load_uri(f"models:/{name}/{version}")
    drawer.version = version
    return drawer


def generation(params: Params, version: int) -> int:
    """How many models stand between the version and real images: 0 where it has learned from these alone."""
    with asking():
        found = client().get_model_version(params.registry.model, str(version))
    return int(found.tags.get(GENERATION, 0))


def fetch(params: Params, folder: Path, version: int | None = None) -> int | None:
    """Copy the own files of a version, model.json and what lies beside it, into `folder`; by default the champion's.

    Returns:
        Which version that is; None where there is none such.
    """
    version = version or holder(params, CHAMPION)
    if version is None:
        return None
    found = client()
    import mlflow
    from mlflow.exceptions import MlflowException

    name = params.registry.model
    try:
        with asking():
            found.get_model_version(name, str(version))
    except MlflowException:
        return None
    with asking(), tempfile.TemporaryDirectory() as temporary:
        place = Path(mlflow.artifacts.download_artifacts(f"models:/{name}/{version}", dst_path=temporary))
        described = next(place.rglob("model.json"))
        shutil.copytree(described.parent, folder, ignore=shutil.ignore_patterns("code"))
    return version


def holder(params: Params, alias: str) -> int | None:
    """The version that `alias` points to, if there is one."""
    if not reachable():
        return None
    found = client()
    with asking():
        models = found.search_registered_models(f"name = '{params.registry.model}'")
    number = models[0].aliases.get(alias) if models else None
    return int(number) if number is not None else None


@dataclass(frozen=True)
class Course:
    """values: step -> losses and the like by name. grids: step -> PNG of what was drawn then."""

    values: dict[int, dict[str, float]]
    grids: dict[int, Path]


@dataclass(frozen=True)
class Version:
    """What the registry knows of a version. created: UTC. metrics, settings: of its run, flat, by name."""

    number: int
    run_id: str | None
    created: datetime
    tags: dict[str, str]
    metrics: dict[str, float]
    settings: dict[str, str]


def version(params: Params, number: int) -> Version:
    """Raises NoVersionError where the model has no such version."""
    name = params.registry.model
    if not reachable():
        raise NoVersionError(f"no registered model {name!r} at {uri()}; `genloop run` makes one")
    found = client()
    from mlflow.exceptions import MlflowException

    try:
        with asking():
            known = found.get_model_version(name, str(number))
            run = found.get_run(known.run_id) if known.run_id else None
    except MlflowException:
        raise NoVersionError(f"{name!r} has no version {number}; its versions: {there(found, name)}") from None
    created = datetime.fromtimestamp(known.creation_timestamp / 1000, UTC)
    metrics, settings = (dict(run.data.metrics), dict(run.data.params)) if run else ({}, {})
    return Version(number, known.run_id, created, dict(known.tags), metrics, settings)


def there(found: MlflowClient, name: str) -> str:
    with asking():
        versions = sorted(int(v.version) for v in found.search_model_versions(f"name = '{name}'"))
    return ", ".join(map(str, versions)) or "none"


def artifact(of: Version, name: str, folder: Path) -> Path | None:
    """A file that the version's run has kept, copied into `folder`; None where it has none of that name."""
    if of.run_id is None:
        return None
    found = client()
    with asking():
        if name not in {file.path for file in found.list_artifacts(of.run_id)}:
            return None
        return Path(found.download_artifacts(of.run_id, name, str(folder)))


def tag(params: Params, number: int, tags: dict[str, str]) -> None:
    """Set tags of a version."""
    found = client()
    with asking():
        for key, value in tags.items():
            found.set_model_version_tag(params.registry.model, str(number), key, value)


def versions(params: Params) -> dict[str, dict[str, Any] | None]:
    """What the aliases point to: {"champion": {"version", "metrics", "benchmark_id"} or None, "challenger": …}."""
    holders: dict[str, dict[str, Any] | None] = {CHAMPION: None, CHALLENGER: None}
    if not reachable():
        return holders
    found = client()
    with asking():
        models = found.search_registered_models(f"name = '{params.registry.model}'")
        for alias, number in (models[0].aliases if models else {}).items():
            if alias in holders:
                version = found.get_model_version(params.registry.model, str(number))
                run = found.get_run(version.run_id) if version.run_id else None
                holders[alias] = {
                    "version": int(number),
                    "metrics": dict(run.data.metrics) if run else {},
                    "benchmark_id": version.tags.get("genloop.benchmark_id"),
                }
    return holders


@dataclass(frozen=True)
class Learned:
    """What a version has learned from. batches: names of folds. aliases: what it serves as."""

    batches: list[str]
    aliases: list[str]


def learned(params: Params) -> dict[int, Learned]:
    """Of every version, in order; those whose runs say nothing of it have learned from no fold."""
    if not reachable():
        return {}
    found = client()
    name = params.registry.model
    with asking():
        models = found.search_registered_models(f"name = '{name}'")
        aliases = {alias: int(number) for alias, number in (models[0].aliases if models else {}).items()}
        runs = {int(of.version): of.run_id for of in found.search_model_versions(f"name = '{name}'")}
        return {
            number: Learned(said(found, runs[number]), sorted(alias for alias in aliases if aliases[alias] == number))
            for number in sorted(runs)
        }


def said(found: MlflowClient, run_id: str | None) -> list[str]:
    """The folds that a run names."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        if run_id and FEEDBACK in {file.path for file in found.list_artifacts(run_id)}:
            return list(mlflow.artifacts.load_dict(f"runs:/{run_id}/{FEEDBACK}").get("batches", []))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # the run was deleted, and its version was not
            raise
    return []


def point(params: Params, alias: str, version: int | None) -> None:
    """Let `alias` point to a version, or to none, whatever it pointed to before: to compare is for whoever calls this."""
    found = client()
    name = params.registry.model
    with locked(), asking():
        if version is None:
            found.delete_registered_model_alias(name, alias)
        else:
            found.set_registered_model_alias(name, alias, str(version))


def receipt_known(params: Params) -> bool:
    """Whether the version that `register` last wrote down is one that the configured registry knows."""
    try:
        receipt = json.loads(RECEIPT.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if not reachable():
        return False
    version = find(client(), params.registry.model, receipt["key"])
    return version is not None and int(version.version) == receipt["version"]


def flat(settings: Any, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}, "c": [2]} -> {"a.b": 1, "c.0": 2}"""
    if isinstance(settings, dict | list):
        pairs = settings.items() if isinstance(settings, dict) else enumerate(settings)
        return {key: value for name, part in pairs for key, value in flat(part, f"{prefix}{name}.").items()}
    return {prefix[:-1]: settings}
