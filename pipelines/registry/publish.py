"""Registers a trained model as a version: a run with everything that made it, the model as code and weights, and an alias."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import re
import shutil
import warnings
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.core.errors import GenloopError
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.registry import sampler
from pipelines.registry.client import Registry, flatten
from pipelines.registry.versions import CHALLENGER, CHAMPION, KEY, TRIED
from pipelines.settings.schema import Params

if TYPE_CHECKING:
    from pipelines.models.base import Description

CODE = Path(__file__).resolve().parents[1] / "models"  # the families, which travel with each version
CODE_BYTES, DISK_GB = 200 * 2**20, 10.0  # the most of an external model's code, and of its weights where it names no limit


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
        mlflow.log_params(external_facts(registry.project.model))
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


def external_facts(model: Path) -> dict[str, Any]:
    """What tells one external model in `model` from another, as parameters of its run; none of a family's."""
    from pipelines.models import base

    external = base.describe(model).external
    if external is None:
        return {}
    manifest = external["manifest"]
    names = ("train", "sampler", "python", "requirements", "condition", "deterministic")
    facts = {"content": external.get("content"), **{name: manifest.get(name) for name in names}, **(manifest.get("card") or {})}
    return {f"model.manifest.{name}": value for name, value in facts.items() if value not in (None, [])}


def log_curves(curves: TrainingCurves) -> None:
    import mlflow
    from PIL import Image

    for step, values in curves.values.items():
        mlflow.log_metrics({f"train/{name}": value for name, value in values.items()}, step=step)
    for step, path in curves.grids.items():
        with Image.open(path) as grid:
            mlflow.log_image(grid, key="samples", step=step)


def log_model(weights: Path, name: str) -> Any:
    """A trained model's folder with the code of its families, as a model that MLflow builds from code.

    Raises GenloopError where an external model's files are not those that were trained, or too large.
    """
    import mlflow

    from pipelines.models import base

    about = base.describe(weights)
    with TemporaryFolder() as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(temporary) / "model"
        if about.external is not None:
            check_sizes(weights, about.external["manifest"], Path(temporary))
        shutil.copytree(weights, folder, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        if about.external is not None:
            sampler.load(folder).check_weights()
        shutil.copytree(CODE, folder / "code", ignore=shutil.ignore_patterns("__pycache__"))
        # Weights are often such that their owner alone may read them; a server may be another user.
        for path in (*folder.glob("*.safetensors"), *(folder / "weights").rglob("*")):
            if path.is_file():
                path.chmod((folder / base.DESCRIPTION).stat().st_mode)
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"model": str(folder)},
            signature=signature(about.spec.shape, accepts_prompts(about)),
            # Given, not inferred: that would load the model in another process and take ten seconds.
            pip_requirements=requirements(about),
            metadata={"genloop.model": name},
        )


def check_sizes(model: Path, manifest: Mapping[str, Any], temporary: Path) -> None:
    """Raises GenloopError where a version would be larger than it may be, or than the disk has space for.

    manifest: of an external model, whose folder is `model`. temporary: where it is copied to.
    """
    code, weights = (size_of(model / name) for name in ("external", "weights"))
    most = int((manifest.get("limits") or {}).get("disk_gb", DISK_GB) * 2**30)
    if code > CODE_BYTES:
        raise GenloopError(
            f"{model / 'external'} is {code / 2**20:,.0f} MiB, and a version's code may be {CODE_BYTES / 2**20:,.0f} MiB; let "
            "the training write what is large into its result folder, and leave data out"
        )
    if weights > most:
        raise GenloopError(
            f"{model / 'weights'} is {weights / 2**30:,.1f} GiB, more than the {most / 2**30:,.1f} GiB that its manifest "
            "allows; keep less, as an adapter instead of a whole model, or raise limits.disk_gb"
        )
    if (free := shutil.disk_usage(temporary).free) < code + weights:
        raise GenloopError(
            f"the model is {(code + weights) / 2**30:,.1f} GiB, and {temporary.parent} has {free / 2**30:,.1f} GiB left for "
            "its copy; make room there, or set TMPDIR to a larger disk"
        )


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def accepts_prompts(about: Description) -> bool:
    """Whether the model can be asked for what somebody writes."""
    return about.external is not None and about.external["manifest"].get("condition") == "prompts"


def signature(shape: tuple[int, int, int], prompts: bool) -> Any:
    """What a version takes and gives, with names, types and defaults; MLflow shows it, and checks `params` by it.

    prompts: whether it accepts some. Of a version that accepts none MLflow drops the column, as it does any other.

    Columns are of any type, and `pyfunc.py` checks what is in them: to a column of whole numbers a server would cast 2.5, true
    and "3" without a word, and it would refuse a label that is a name or is missing.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec
    from mlflow.types.schema import AnyType

    defaults = {"count": 1, "seed": 0, "label": None, **({"prompt": None} if prompts else {})}
    types = {"prompt": DataType.string}
    return ModelSignature(
        inputs=Schema([ColSpec(AnyType(), name, required=False) for name in defaults]),
        outputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *shape))]),
        params=ParamSchema([ParamSpec(name, types.get(name, DataType.long), default) for name, default in defaults.items()]),
    )


def requirements(about: Description) -> list[str]:
    """What pip installs where the version is to generate. What an external model asks for goes before what is here."""
    if about.external is None:
        import keras

        return pinned(["keras", keras.backend.backend(), "mlflow", "numpy", "pandas", "safetensors"])
    own: list[str] = list(about.external["manifest"].get("requirements") or [])
    named = {re.split(r"[^A-Za-z0-9._-]", line.strip(), maxsplit=1)[0].lower() for line in own}
    return pinned(name for name in ("mlflow", "numpy", "pandas") if name not in named) + own


def pinned(packages: Iterable[str]) -> list[str]:
    return [f"{package}=={importlib.metadata.version(package)}" for package in packages]


def smoke_test(registry: Registry, model_uri: str) -> None:
    """Load the version as a user would, and compare its images with those of the project's model, of one call and of two.

    Of a model that says it is not deterministic it is only asked that it generates.
    """
    with closing(sampler.load(registry.project.model)) as trained, closing(registry.load_model(model_uri)) as registered:
        seeds = np.arange(TRIED)
        labels = (seeds % len(trained.classes)).astype(np.int32) if trained.conditional else None
        images = registered.draw(seeds, labels)
        if not trained.deterministic:
            return
        parts = [registered.draw(seeds[part], None if labels is None else labels[part]) for part in (slice(3), slice(3, None))]
        if not np.array_equal(images, np.concatenate(parts)):
            raise GenloopError(
                "the registered model generates other images for the same seeds when it is asked again, for 3 and 5 at once "
                "instead of 8; no version was made of it: let an image depend on its seed and label alone, or, where that "
                "cannot be, say `deterministic: false` in its manifest"
            )
        registered.close()  # two processes with the same weights may be more than a GPU holds
        if not np.array_equal(images, trained.draw(seeds, labels)):
            raise GenloopError("the registered model generates other images than the trained one; no version was made of it")
